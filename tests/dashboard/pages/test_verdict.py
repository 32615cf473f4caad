"""What a study comes to in a sentence."""

from collections.abc import Sequence
from typing import Any

from dashboard.pages.study.verdict import verdict
from mlgsearch.records import TrialRecord, VerificationRecord
from mlgsearch.results.analysis.trial_columns import TrialColumns
from mlgsearch.results.read.study_results import StudyResults
from tests.results.samples import a_complete, a_study, a_trial, a_verification


def _verdict(
    *trials: TrialRecord, runs: Sequence[VerificationRecord] = (), **study: Any
) -> str | None:
    record = a_study(**study)
    return verdict(StudyResults(record, TrialColumns.of_records(trials), runs))


def _fits(accuracy: float, number: int, ratio: float) -> TrialRecord:
    return a_complete(number, accuracy, ratio, packed_bytes=int(85_000 * ratio))


def test_the_smallest_within_a_point_and_what_a_point_is() -> None:
    trials = [_fits(0.4, 0, 0.01), _fits(0.972, 2, 0.04), _fits(0.975, 5, 0.2)]
    said = _verdict(*trials, validation_samples=100_000)
    assert said == (
        "Expected within 1 point of the teacher: \N{MULTIPLICATION SIGN}25.0 smaller, 3.40 KB, "
        "trial 2. "
        "One point is 1,000 of the 100,000 images of the validation part."
    )


def test_how_near_the_best_comes_where_none_is_within_a_point() -> None:
    said = _verdict(_fits(0.4, 0, 0.01), _fits(0.8, 2, 0.04), validation_samples=100_000)
    assert said is not None
    assert said.startswith("Nearest to the teacher, 17.")
    assert "25.0 smaller, 3.40 KB, trial 2." in said


def test_once_some_are_verified_a_point_is_of_the_test_part() -> None:
    trials = [_fits(0.9, 0, 0.01), _fits(0.97, 2, 0.04)]
    teachers = {"teacher_accuracy": 0.98, "teacher_test_accuracy": 0.9, "validation_samples": 500}
    runs = [a_verification(2, seed, 0.9) for seed in (1, 2)]
    said = _verdict(*trials, runs=runs, **teachers)
    assert said is not None
    assert said.startswith("Expected within 1 point of the teacher on the test part: ")
    assert said.endswith(" One point is 2.7 of the 270 images of the test part.")
    # Of test parts of several sizes nothing is counted.
    other = a_verification(0, 1, 0.85, test_samples=300)
    said = _verdict(*trials, runs=[*runs, other], **teachers)
    assert said is not None
    assert "One point" not in said


def test_nothing_is_said_without_a_teacher_or_a_result() -> None:
    assert _verdict(_fits(0.9, 0, 0.01), teacher_accuracy=None) is None
    assert _verdict(a_trial(0)) is None
