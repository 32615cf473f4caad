"""The contract of VerificationStore, on every database."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine

from mlgsearch.errors import StudyNotFoundError, TrialNotFoundError
from mlgsearch.records import TrialState, VerificationRecord
from mlgsearch.results.database.store import ResultStore
from mlgsearch.results.database.verification_store import VerificationStore
from tests.results.samples import a_complete, a_study, a_verification


@pytest.fixture
def verified(engine: Engine, store: ResultStore) -> VerificationStore:
    """Store of a study with three trials, beside another study with one."""
    for name in ("digits", "other"):
        store.create_study(a_study(name))
    for number in range(3):
        store.put_trial("digits", a_complete(number, 0.9, 0.05))
    store.put_trial("other", a_complete(0, 0.9, 0.05))
    return VerificationStore(engine)


def timeless(record: VerificationRecord) -> VerificationRecord:
    return replace(record, created_at=None, finished_at=None)


def test_a_verification_reads_back_as_written(verified: VerificationStore) -> None:
    written = a_verification(seed=2**62 + 1, packed_bytes=2**40, error="a\x00b \ud800")
    verified.put("digits", written)
    (read,) = verified.verifications("digits")
    assert timeless(read) == replace(written, error="a\\x00b \\ud800")
    for moment in (read.created_at, read.finished_at):
        assert moment is not None
        assert abs((datetime.now(UTC) - moment).total_seconds()) < 60


def test_a_second_put_replaces_the_first_and_keeps_its_beginning(
    verified: VerificationStore,
) -> None:
    begun = VerificationRecord(0, 1, 10, TrialState.RUNNING, epochs_done=3)
    verified.put("digits", begun)
    (first,) = verified.verifications("digits")
    assert (first.finished_at, timeless(first)) == (None, begun)
    verified.put("digits", replace(begun, state=TrialState.FAIL, error="no memory"))
    verified.put("digits", a_verification())
    (last,) = verified.verifications("digits")
    assert timeless(last) == a_verification()
    assert last.created_at == first.created_at
    verified.put("digits", begun)
    (again,) = verified.verifications("digits")
    assert again == first


def test_they_are_told_apart_by_study_trial_seed_and_epochs(verified: VerificationStore) -> None:
    for study, record in [
        ("digits", a_verification(2, 1)),
        ("digits", a_verification(0, 2)),
        ("digits", a_verification(0, 1, epochs=20)),
        ("digits", a_verification(0, 1)),
        ("other", a_verification(0, 1)),
    ]:
        verified.put(study, record)
    found = [(v.trial, v.epochs, v.seed) for v in verified.verifications("digits")]
    assert found == [(0, 10, 1), (0, 10, 2), (0, 20, 1), (2, 10, 1)]
    assert len(verified.verifications("other")) == 1


@pytest.mark.parametrize("value", [None, float("nan")])
def test_a_complete_one_has_its_figures(verified: VerificationStore, value: float | None) -> None:
    with pytest.raises(ValueError, match="seed 1 is COMPLETE with packed_accuracy"):
        verified.put("digits", a_verification(packed_accuracy=value))
    assert verified.verifications("digits") == []


def test_what_is_not_there_is_reported(verified: VerificationStore) -> None:
    with pytest.raises(StudyNotFoundError):
        verified.verifications("digit")
    with pytest.raises(TrialNotFoundError, match="no trial 7"):
        verified.put("digits", a_verification(7))


def test_the_teachers_test_accuracy_is_kept(store: ResultStore) -> None:
    store.create_study(a_study())
    store.set_teacher_test_accuracy("digits", 0.875)
    assert store.study("digits").teacher_test_accuracy == 0.875
