"""What the page of a study says of the file's limits, and a trial's of what it has of them."""

from dashboard.charts.axes.size_axis import SIZE_AXES
from dashboard.pages.study.data import StudyData
from dashboard.pages.study.facts import facts
from mlgsearch.results.analysis.effects.hyperparameters import Hyperparameters
from mlgsearch.results.analysis.trial_columns import TrialColumns
from mlgsearch.results.read.study_results import StudyResults
from tests.results.samples import a_complete, a_study


def test_limits_are_among_the_figures() -> None:
    limits = {"packed_bytes": 20_000, "peak_activation_bytes": 9_000}
    trial = a_complete(0, 0.8, 0.01, packed_bytes=7_412, peak_activation_bytes=8_192)
    columns = TrialColumns.of_records([trial])
    study = a_study(content={"limits": limits})
    shown = str(facts(StudyData(StudyResults(study, columns, []), [], Hyperparameters({}))))
    assert "packed_bytes at most" in shown
    assert "20,000" in shown
    assert "peak_activation_bytes at most" in shown
    assert "9,000" in shown
    axis = SIZE_AXES["peak_activation_bytes"]
    assert axis.values(columns).tolist() == [8_192]
    assert axis.write(8_192) == "8,192 bytes"
