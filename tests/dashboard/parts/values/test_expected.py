"""What to expect of trials, wherever a page shows an accuracy."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboard.charts.axes.size_axis import DEFAULT_AXIS, SIZE_AXES
from dashboard.charts.trial_marks import TrialMarks
from dashboard.database import Database
from dashboard.pages.study.data import read_study
from dashboard.pages.study.inspector.cards import cards
from dashboard.pages.study.trials.table import TRIALS_TABLE
from dashboard.pages.study.view import StudyView
from dashboard.pages.trial.data import TrialData
from dashboard.pages.trial.facts import facts
from dashboard.parts.values.expected import EXPECTED, expected
from dashboard.query import Query
from mlgsearch.results.analysis.uncertainty.expectation import Expectation
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.migrate import upgrade
from mlgsearch.results.database.store import ResultStore
from mlgsearch.results.database.verification_store import VerificationStore
from tests.dashboard.samples import add_trial, fill_some_studies
from tests.results.samples import a_verification

INTERVAL = r"\d\d\.\d % \(\d\d\.\d to \d\d\.\d\)"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/a.db"


@pytest.fixture
def writer(url: str) -> Iterator[ResultStore]:
    engine = open_engine(url)
    upgrade(engine)
    store = ResultStore(engine)
    fill_some_studies(store)
    store.set_data("digits", "da7a", 269)
    for seed in (1, 2):
        VerificationStore(engine).put("digits", a_verification(12, seed, 0.8))
    yield store
    engine.dispose()


@pytest.fixture
def database(writer: ResultStore, url: str) -> Iterator[Database]:
    database = Database(url)
    yield database
    database.close()


def test_the_words() -> None:
    assert expected(Expectation(0.9461, 0.931, 0.958)) == "94.6 % (93.1 to 95.8)"
    verified = Expectation(0.9461, 0.931, 0.958, 3, 0.008)
    assert expected(verified) == "94.6 % (93.1 to 95.8), verified (3 seeds)"
    assert expected(Expectation(1, 1, 1, 1)).endswith(", verified (1 seed)")


def test_it_is_estimated_anew_only_where_something_changed(
    database: Database, writer: ResultStore, url: str
) -> None:
    first = database.results("digits").expectations
    assert database.results("digits").expectations is first
    engine = open_engine(url)
    VerificationStore(engine).put("digits", a_verification(2, 1, 0.8))
    engine.dispose()
    second = database.results("digits").expectations
    assert (first[2].seeds, second[2].seeds) == (0, 1)
    add_trial(writer, "digits", 40)
    assert 40 in database.results("digits").expectations
    writer.set_data("digits", "da7a", 100_000)
    closer = database.results("digits").expectations
    assert closer[0].high - closer[0].low < second[0].high - second[0].low


def test_the_table_shows_and_downloads_it(database: Database) -> None:
    show = EXPECTED.show
    assert show is not None
    query = Query({"name": ["digits"]})
    found = {row["trial"]: row for row in TRIALS_TABLE.data(database, query)}
    assert found[12]["expected_accuracy"] == pytest.approx(0.8)
    assert found[12]["verified_seeds"] == 2
    assert found[0]["expected_low"] < found[0]["expected_accuracy"] < found[0]["expected_high"]
    assert re.fullmatch(INTERVAL, str(show(found[0])))
    assert re.fullmatch(INTERVAL + r", verified \(2 seeds\)", str(show(found[12])))
    assert found[5]["expected_accuracy"] is None  # stopped early
    assert show(found[5]) == ""


def test_marks_cards_and_facts_say_it(database: Database) -> None:
    data = read_study(database, "digits")
    marks = TrialMarks(data.columns, SIZE_AXES[DEFAULT_AXIS], data.results.expectations)
    trace = marks.points(data.columns.rows_of([0, 5]), "", {})
    assert re.fullmatch(f"<br>expected: {INTERVAL}", trace["hovertext"][0])
    assert trace["hovertext"][1] == ""
    assert " %%{hovertext}<br>" in trace["hovertemplate"]
    view = StudyView(selected=(0,))
    assert re.search(f"expected {INTERVAL}", str(cards(data, view, "light")))
    query = Query({"name": ["digits"], "number": ["0"]})
    shown = str(facts(TrialData.read(database, query)))
    assert re.search(f"expected of a new training on new images.*{INTERVAL}", shown)
