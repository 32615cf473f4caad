"""How one trial learned: accuracy and loss on both parts of the data."""

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from dashboard.charts.lines.epoch_line import epoch_axis, epoch_line
from dashboard.charts.lines.teacher_line import teacher_line
from dashboard.parts.page import Scheme
from dashboard.theme import Palette, Trace, dress, palette
from mlgsearch.records import EpochRecord, TrialState
from mlgsearch.results.charts.layout import say_empty


def learning_chart(
    epochs: Sequence[EpochRecord],
    scheme: Scheme,
    *,
    epochs_wanted: int,
    teacher_accuracy: float | None = None,
    state: TrialState = TrialState.RUNNING,
) -> go.Figure:
    """Draw accuracy on the left and loss on the right, after every epoch.

    Without an epoch there are no axes but a sentence, which for a failed trial says so.

    What was not finite is a gap. The training loss is the whole objective of training, with
    distillation and penalty, so the two losses are not of one kind.
    """
    colours = palette(scheme)
    figure = go.Figure()
    accuracies = [
        [100 * e.validation_accuracy for e in epochs],
        [100 * e.train_accuracy for e in epochs],
    ]
    losses = [[e.validation_loss for e in epochs], [e.train_loss for e in epochs]]
    for place, pair in enumerate((accuracies, losses)):
        for part, values in enumerate(pair):
            figure.add_trace(_line(epochs, values, place=place, part=part, colours=colours))
    figure.update_layout(teacher_line(teacher_accuracy, colours, "right"))
    if not epochs:
        say_empty(figure, _without_epochs(state), colour=colours.faint, size=15)
    axis = epoch_axis(epochs_wanted) | {"visible": bool(epochs)}
    label = {"font": {"size": 12}}
    figure.update_layout(
        uirevision="learning",
        margin={"l": 60, "r": 12, "t": 36, "b": 48},
        xaxis={**axis, "domain": [0, 0.46]},
        xaxis2={**axis, "domain": [0.56, 1]},
        yaxis={
            "title": {"text": "accuracy", **label},
            "ticksuffix": " %",
            "visible": bool(epochs),
        },
        yaxis2={"title": {"text": "loss", **label}, "anchor": "x2", "visible": bool(epochs)},
    )
    return dress(figure, scheme)


def _without_epochs(state: TrialState) -> str:
    if state is TrialState.FAIL:
        return "the trial failed before an epoch was finished"
    return "no epoch is finished yet"


def learning_summary(epochs: Sequence[EpochRecord], state: TrialState = TrialState.RUNNING) -> str:
    """Describe what the curve came to, or why there is none."""
    known = [e for e in epochs if math.isfinite(e.validation_accuracy)]
    if not epochs:
        said = _without_epochs(state)
        return f"{said[0].upper()}{said[1:]}."
    if not known:
        return "No epoch has a validation accuracy that is a number."
    last, best = known[-1], max(known, key=lambda e: (e.validation_accuracy, e.epoch))
    said = f"Validation accuracy is {100 * last.validation_accuracy:.2f} % after epoch {last.epoch}"
    if best.epoch != last.epoch:
        said += f"; it was best after epoch {best.epoch}, {100 * best.validation_accuracy:.2f} %"
    return f"{said}. Solid lines: validation part; dotted: training part."


def _line(
    epochs: Sequence[EpochRecord],
    values: Sequence[float],
    *,
    place: int,
    part: int,
    colours: Palette,
) -> Trace:
    name = ("validation", "training")[part]
    return epoch_line(
        epochs,
        values,
        colour=(colours.front, colours.pruned)[part],
        dash=("solid", "dot")[part],
        unit="%{y:.4f}" if place else "%{y:.2f} %",
        what=f"{name}, ",
        xaxis="x2" if place else "x",
        yaxis="y2" if place else "y",
        marker={"size": 6, "symbol": ("circle", "square")[part]},
        name=name,
        legendgroup=name,
        showlegend=not place,
    )
