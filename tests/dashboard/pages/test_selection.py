"""What is said of selected trials in a view: only what its filters leave."""

import pytest

from dashboard.database import Database
from dashboard.pages.study.chart_tables import CURVES_TABLE
from dashboard.pages.study.data import read_study
from dashboard.pages.study.inspector.selection import inspect, picked
from dashboard.pages.study.view import StudyView
from dashboard.query import Query


def said(database: Database, search: str) -> str:
    query = Query.parse(f"name=digits&{search}")
    return str(inspect(database, read_study(database, "digits"), StudyView.of(query), "light"))


def test_what_differs_and_the_export_are_of_those_left(database: Database) -> None:
    both = said(database, "trials=7&trials=28")
    assert "What differs" in both
    assert "export digits" not in both
    one = said(database, "trials=7&trials=28&accuracy-from=90")
    assert "What differs" not in one
    assert "export digits 28" in one
    assert "Trial 7 is selected, but the filters" in one
    none = said(database, "trials=7&accuracy-from=99")
    assert "export digits" not in none
    assert "Clear selection" in none


def test_rank_and_steps_are_of_the_front_that_is_shown(database: Database) -> None:
    assert "number 12 of 13 on the front" in said(database, "trials=27")
    fewer = said(database, "trials=27&accuracy-from=90")
    assert "number 3 of 4 on the front" in fewer
    assert "Next: trial 28" in fewer
    # What the filters leave out is no step, and no neighbour.
    alone = said(database, "trials=27&accuracy-from=94&accuracy-to=96")
    assert "number 1 of 1 on the front" in alone
    assert "Previous" not in alone
    assert "Next smaller" not in alone
    # Of a replay it is the front of that moment.
    assert "not on the front" in said(database, "trials=3")
    early = said(database, "trials=3&until=8")
    assert "number 3 of 4 on the front" in early
    assert "complete, on the front" in early


@pytest.mark.parametrize(
    ("search", "line"),
    [
        ("", None),
        ("trials=99", None),
        ("trials=27", "Trial 27, 95.38 %, on the front"),
        ("trials=3", "Trial 3, 87.08 %, not on the front"),
        ("trials=6", "Trial 6, failed"),
        ("trials=7&accuracy-from=99", "Trial 7, left out by the filters"),
        ("trials=7&trials=27&trials=99", "2 trials"),
    ],
)
def test_what_is_selected_is_said_in_a_line(
    database: Database, search: str, line: str | None
) -> None:
    data = read_study(database, "digits")
    parts = picked(data, StudyView.of(Query.parse(search)))
    assert [part.children for part in parts] == ([] if line is None else ["Selected:", line])


def test_the_table_of_epochs_is_of_those_left(database: Database) -> None:
    query = Query.parse("name=digits&trials=7&trials=28&accuracy-from=90")
    assert {row["trial"] for row in CURVES_TABLE.data(database, query)} == {28}
