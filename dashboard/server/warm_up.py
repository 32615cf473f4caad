"""Doing once, before anybody asks, what a first visitor would otherwise wait for."""

from plotly.io.json import to_json_plotly
from sqlalchemy.exc import DBAPIError

from dashboard.database import Database
from dashboard.pages.study import page as study
from dashboard.parts.page import View
from dashboard.query import Query
from mlgsearch.errors import UserError


def warm_up(database: Database) -> None:
    """Draw the page of the study that was active last.

    It reads that study's trials, and makes the libraries load and compile what they do only as they
    first read, draw and write.
    """
    try:
        rows = database.studies()
        if rows:
            last = max(rows, key=lambda row: row.last_activity)
            page = study.PAGE.layout(database, View(Query({"name": [last.name]}), "light"))
            to_json_plotly(page)
    except (UserError, DBAPIError):
        return  # the database is away: the page says so
