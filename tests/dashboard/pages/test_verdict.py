"""What a study comes to in a sentence."""

from typing import Any

from dashboard.pages.study.verdict import verdict
from mlgsearch.records import TrialRecord
from mlgsearch.results.analysis.trial_columns import TrialColumns
from mlgsearch.results.read.study_results import StudyResults
from tests.results.samples import a_complete, a_study, a_trial


def _verdict(*trials: TrialRecord, **study: Any) -> str | None:
    record = a_study(**study)
    return verdict(StudyResults(record, TrialColumns.of_records(trials), []))


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


def test_nothing_is_said_without_a_teacher_or_a_result() -> None:
    assert _verdict(_fits(0.9, 0, 0.01), teacher_accuracy=None) is None
    assert _verdict(a_trial(0)) is None
