"""Charts as pages; the commands that write one load it, for plotly takes its time."""

from collections.abc import Sequence
from pathlib import Path

import plotly.graph_objects as go

from mlgsearch.errors import UserError
from mlgsearch.records import StudyRecord, TrialRecord
from mlgsearch.results.charts.pareto import pareto_chart, write_html


def study_chart(study: StudyRecord, trials: Sequence[TrialRecord]) -> go.Figure:
    """Draw a study's trials and front."""
    return pareto_chart(
        trials, study.objectives, title=study.name, teacher_accuracy=study.teacher_accuracy
    )


def write_figure(figure: go.Figure, path: Path) -> None:
    """Write a chart into an HTML file.

    Raises:
        UserError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_html(figure, path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None
