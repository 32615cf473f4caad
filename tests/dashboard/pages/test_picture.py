"""What the chart of a study shows in a view, in words and as it is drawn, without a browser."""

from collections.abc import Sequence
from typing import Any

import pytest

from dashboard.charts.front_chart import front_chart
from dashboard.pages.study.data import StudyData
from dashboard.pages.study.picture import picture_of, tell_front
from dashboard.pages.study.view import StudyView
from dashboard.query import Query
from mlgsearch.records import TrialRecord, TrialState, VerificationRecord
from mlgsearch.results.analysis.effects.hyperparameters import Hyperparameters
from mlgsearch.results.analysis.trial_columns import TrialColumns
from mlgsearch.results.analysis.uncertainty.verification import verified_points
from mlgsearch.results.read.study_results import StudyResults
from tests.results.samples import a_complete, a_study, a_trial, a_verification


def _data(*trials: TrialRecord, runs: Sequence[VerificationRecord] = (), **study: Any) -> StudyData:
    record = a_study(**study)
    results = StudyResults(record, TrialColumns.of_records(trials), runs)
    verified = verified_points(trials, runs, record.objectives)
    return StudyData(results, verified, Hyperparameters({}))


def test_trials_that_are_queued_are_counted_as_in_the_chips() -> None:
    data = _data(a_complete(0, 0.9, 0.1), a_trial(1, state=TrialState.WAITING))
    view = StudyView.of(Query.parse("accuracy-to=100"))
    assert tell_front(picture_of(data, StudyView())).startswith("Shown: 1 complete, 1 queued.")
    assert tell_front(picture_of(data, view)).startswith("Shown: 1 complete. ")
    assert len(data.filtered(StudyView()).rows) == 2


def test_verified_students_are_below_the_teacher_of_the_test_part() -> None:
    trial = a_complete(0, 0.9, 0.1)
    run = a_verification(0, 1, 0.85)
    teachers = {"teacher_accuracy": 0.95, "teacher_test_accuracy": 0.9}
    for known, below in ((teachers, 5.0), ({"teacher_accuracy": 0.95}, 10.0)):
        data = _data(trial, runs=[run], **known)
        picture = picture_of(data, StudyView())
        assert 10 ** -picture.verified_scale.height(85) == pytest.approx(below)
        assert 10 ** -picture.scale.height(90) == pytest.approx(5)
        (mark,) = (
            trace
            for trace in front_chart(picture, "light")["data"]
            if str(trace.get("name")).startswith("verified on the test part")
        )
        assert mark["y"] == pytest.approx([picture.verified_scale.height(85)], abs=1e-3)


@pytest.mark.parametrize("search", ["limit=within&bound=5", "limit=at_least&bound=80"])
def test_a_limit_on_accuracy_is_a_line_until_students_are_verified(search: str) -> None:
    trial, view = a_complete(0, 0.9, 0.1), StudyView.of(Query.parse(search))
    assert picture_of(_data(trial), view).limit is not None
    verified = _data(trial, runs=[a_verification(0, 1, 0.85)])
    assert picture_of(verified, view).limit is None
    assert picture_of(verified, StudyView.of(Query.parse("limit=max_ratio&bound=1"))).limit
