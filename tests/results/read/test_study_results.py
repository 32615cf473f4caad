"""A study as everybody reads it, against its records, on every database."""

from dataclasses import fields

import numpy as np
import pytest
from sqlalchemy import Engine

from mlgsearch.errors import StudyNotFoundError
from mlgsearch.records import TrialState
from mlgsearch.results.analysis.front import front, front_hypervolume
from mlgsearch.results.analysis.trial_columns import TrialColumns
from mlgsearch.results.analysis.uncertainty.expectation import Expectations
from mlgsearch.results.analysis.uncertainty.verification import verified_points
from mlgsearch.results.database.store import ResultStore
from mlgsearch.results.database.verification_store import VerificationStore
from mlgsearch.results.read.study_reader import StudyReaders
from mlgsearch.results.read.study_results import (
    StudyResults,
    front_trials,
    read_results,
    verified_students,
)
from mlgsearch.results.read.trial_page import all_trials
from tests.results.samples import a_complete, a_study, a_trial, a_verification, begin_run

REFERENCE = {"accuracy": 0.4, "memory_ratio": -0.5}


@pytest.fixture
def filled(store: ResultStore, engine: Engine) -> ResultStore:
    """A study with a front, a trial without a packed size, others off the front, and runs."""
    store.create_study(a_study(hypervolume_reference=REFERENCE, validation_samples=269))
    for trial in (
        a_complete(0, 0.7, 0.2),
        a_complete(1, 0.9, 0.1, packed_bytes=7_000),
        a_complete(2, 0.8, 0.02),
        a_complete(3, 0.8, 0.02, reused_from=2),
        a_trial(4, state=TrialState.PRUNED, accuracy=0.99),
        a_trial(5),
    ):
        store.put_trial("digits", trial)
    for seed in (1, 2):
        VerificationStore(engine).put("digits", a_verification(1, seed, 0.8 + seed / 100))
    return store


def test_it_says_what_the_records_say(filled: ResultStore, engine: Engine) -> None:
    results = read_results(engine, "digits")
    study, trials = filled.study("digits"), filled.trials("digits")
    runs = VerificationStore(engine).verifications("digits")
    assert results.record == study
    assert results.front_numbers == [2, 1]
    assert front_trials(engine, results) == front(trials, study.objectives)
    reached = results.reached
    assert reached.counts == filled.state_counts("digits")
    assert (reached.best_accuracy, reached.smallest_memory_ratio) == (0.9, 0.02)
    volume = front_hypervolume(trials, study.objectives, REFERENCE)
    assert reached.hypervolume == pytest.approx(volume)
    assert results.course[1][-1] == pytest.approx(volume)
    assert verified_students(engine, results) == verified_points(trials, runs, study.objectives)
    by_records = Expectations.of_trials(trials, runs, 269)
    assert [results.expectations.find(n) for n in range(6)] == [
        by_records.find(n) for n in range(6)
    ]
    assert list(all_trials(engine, "digits")) == trials


def test_records_make_the_columns_that_are_read(filled: ResultStore, engine: Engine) -> None:
    read = read_results(engine, "digits").columns
    made = TrialColumns.of_records(filled.trials("digits"))
    for field in fields(TrialColumns):
        if field.name != "updated_at":
            np.testing.assert_array_equal(getattr(made, field.name), getattr(read, field.name))
    assert np.isnat(made.updated_at).all()


def test_it_is_the_same_until_something_is_written(filled: ResultStore, engine: Engine) -> None:
    readers = StudyReaders(engine)

    def read() -> StudyResults:
        return StudyResults(
            filled.study("digits"),
            readers.read("digits"),
            VerificationStore(engine).verifications("digits"),
        )

    first = read()
    assert first.is_as(read())
    filled.put_trial("digits", a_complete(6, 0.5, 0.5))
    second = read()
    assert not first.is_as(second)
    VerificationStore(engine).put("digits", a_verification(2, 1))
    third = read()
    assert not second.is_as(third)
    begin_run(filled, n_trials=99)
    assert not third.is_as(read())


def test_pages_of_trials_join(
    filled: ResultStore, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlgsearch.results.read.trial_page._AT_ONCE", 2)
    assert [trial.number for trial in all_trials(engine, "digits")] == list(range(6))


def test_a_study_that_is_not_there(store: ResultStore, engine: Engine) -> None:
    with pytest.raises(StudyNotFoundError):
        read_results(engine, "digits")
    with pytest.raises(StudyNotFoundError):
        list(all_trials(engine, "digits"))
