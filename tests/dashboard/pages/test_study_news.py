"""What the page of a study sends again after news, and what it leaves alone."""

from collections.abc import Mapping
from typing import Any

import pytest
from dash import no_update
from flask import Flask
from sqlalchemy import Engine

from dashboard.database import Database
from dashboard.pages.study.data import read_study
from dashboard.pages.study.page import page_parts
from dashboard.pages.study.view import StudyView
from dashboard.query import Query
from mlgsearch.results.database import lease
from mlgsearch.results.database.store import ResultStore
from tests.dashboard.samples import CONTENT, add_trial
from tests.results.samples import a_complete, a_study, a_trial

#: What says how the study goes on, whatever is looked at.
_GOING_ON = {"drawn", "front", "front_summary", "state"}


def write(store: ResultStore) -> None:
    store.create_study(a_study("live", content=CONTENT))
    for number in range(3):
        add_trial(store, "live", number)
    store.put_trial("live", a_trial(3, epochs_done=1, accuracy=0.5))


fill = pytest.fixture(scope="module")(lambda: write)


class Reader:
    """A page that is open: what it was sent, and what it is sent after news."""

    def __init__(self, database: Database, search: str) -> None:
        self.database = database
        self.view = StudyView.of(Query.parse(search))
        self.drawn: Mapping[str, str] = {}
        self.news()

    def news(self) -> dict[str, Any]:
        """Return what is sent."""
        with Flask("test").test_request_context():
            data = read_study(self.database, "live")
            sent = page_parts(self.database, data, self.view, "light", self.drawn)
        found = {part: content for part, content in sent.items() if content is not no_update}
        self.drawn = found.get("drawn", self.drawn)
        return found


@pytest.mark.parametrize("search", ["", "hide=FAIL&find=77&limit=max_ratio&bound=0.1&trials=0"])
def test_without_news_nothing_is_sent(database: Database, search: str) -> None:
    page = Reader(database, search)
    assert page.news() == {}


@pytest.mark.parametrize(
    ("search", "accuracy"), [("", 0.4), ("find=77&limit=max_ratio&bound=0.001&trials=0", 0.6)]
)
def test_an_epoch_sends_the_chart_and_what_runs(
    database: Database, writer: ResultStore, search: str, accuracy: float
) -> None:
    page = Reader(database, search)
    writer.put_trial("live", a_trial(3, epochs_done=2, accuracy=accuracy))
    assert set(page.news()) == {*_GOING_ON, "running"}


def test_a_finished_trial_sends_its_figures_and_the_course(
    database: Database, writer: ResultStore
) -> None:
    page = Reader(database, "find=77&limit=max_ratio&bound=0.001")
    # Dominated, and larger than all others: no front, no rank and no choice is another.
    writer.put_trial("live", a_complete(4, 0.1, 0.9))
    assert set(page.news()) == {
        *_GOING_ON, "facts", "last", "replay", "course", "course_summary",
    }  # fmt: skip
    assert page.news() == {}


def test_the_command_that_goes_on_is_sent_where_it_comes_and_goes(
    database: Database, file_engine: Engine
) -> None:
    page = Reader(database, "")
    held = lease.acquire(file_engine, "live", holder="me", host="node7", pid=1)
    taken = page.news()
    assert set(taken) == {"drawn", "state", "running", "resuming"}
    assert taken["resuming"] is None
    ResultStore(file_engine, held).put_trial("live", a_complete(5, 0.1, 0.9))
    assert "resuming" not in page.news()
    lease.release(file_engine, held)
    assert "resume live" in str(page.news()["resuming"])
