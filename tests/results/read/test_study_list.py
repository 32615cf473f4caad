"""Studies at a glance, on every database."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine, event

from mlgsearch.records import TrialState
from mlgsearch.results.analysis.front import front_hypervolume
from mlgsearch.results.analysis.reached import Reached
from mlgsearch.results.database import lease
from mlgsearch.results.database.store import ResultStore
from mlgsearch.results.read.study_list import StudyList, study_rows
from tests.results.samples import a_complete, a_study, a_trial

CONTENT = {"model": {"name": "resnet8"}, "data": {"name": "digits"}, "space": {"kind": "uniform"}}


@pytest.fixture
def two_studies(store: ResultStore) -> ResultStore:
    """One study with trials in several states, one that has none."""
    store.create_study(a_study("first", content=CONTENT, n_trials=20))
    store.create_study(a_study("empty"))
    for number, (accuracy, ratio) in enumerate([(0.9, 0.1), (0.8, 0.02), (0.7, 0.05)]):
        store.put_trial("first", a_complete(number, accuracy, ratio))
    store.put_trial("first", a_trial(3, state=TrialState.PRUNED, accuracy=0.99))
    store.put_trial("first", a_trial(4))
    return store


def test_a_row_says_what_the_store_says(two_studies: ResultStore, engine: Engine) -> None:
    first, empty = study_rows(engine)
    assert (first.name, first.model, first.data, first.space) == (
        "first",
        "resnet8",
        "digits",
        "uniform",
    )
    assert first.reached.counts == two_studies.state_counts("first")
    assert (first.reached.finished, first.n_trials) == (4, 20)
    assert (first.reached.best_accuracy, first.reached.smallest_memory_ratio) == (0.9, 0.02)
    assert first.reached.hypervolume == pytest.approx(
        front_hypervolume(two_studies.trials("first"), first.objectives, {})
    )
    assert first.last_activity == two_studies.last_activity("first")
    assert (first.lease, first.time_left_s) == (None, None)
    assert empty.reached == Reached(dict.fromkeys(TrialState, 0), None, None, 0)
    assert empty.last_activity == two_studies.last_activity("empty")


def test_trials_are_read_again_only_where_some_were_written(
    two_studies: ResultStore, engine: Engine
) -> None:
    studies = StudyList(engine)
    first = studies.rows()[0]
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("SELECT"):
            statements.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    assert studies.rows()[0] == first
    assert len(statements) == 2, statements
    two_studies.put_trial("empty", a_complete(0, 0.5, 0.5))
    statements.clear()
    first_again, empty = studies.rows()
    assert first_again == first
    assert empty.reached.best_accuracy == 0.5
    assert len(statements) == 4, statements
    two_studies.delete_study("first")
    assert [row.name for row in studies.rows()] == ["empty"]


def test_the_driver_and_its_pace(two_studies: ResultStore, engine: Engine) -> None:
    held = lease.acquire(engine, "first", holder="me", host="here", pid=1)
    studies = StudyList(engine)
    assert studies.rows()[0].time_left_s is None  # what ended before says nothing of this driver
    driver = ResultStore(engine, held)
    for number in (5, 6, 7):
        ended = held.acquired_at + timedelta(seconds=10 * number)
        driver.put_trial("first", a_complete(number, 0.5, 0.1, finished_at=ended))
    first, empty = studies.rows()
    assert first.lease == held
    assert first.time_left_s == pytest.approx(10.0 * (20 - 7))
    assert empty.lease is None
    lease.release(engine, held)
    assert studies.rows()[0].lease is None


def test_a_stored_reference_point_counts(store: ResultStore, engine: Engine) -> None:
    store.create_study(a_study(hypervolume_reference={"accuracy": 0.4, "memory_ratio": 0.0}))
    store.put_trial("digits", a_complete(0, 0.5, 0.1))
    assert study_rows(engine)[0].reached.hypervolume == pytest.approx(0.1)
