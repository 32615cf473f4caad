"""How the selected trials learned, epoch by epoch."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from dashboard.charts.lines.epoch_line import epoch_axis, epoch_line
from dashboard.charts.lines.teacher_line import teacher_line
from dashboard.parts.page import Scheme
from dashboard.theme import dress, palette
from mlgsearch.records import EpochRecord
from mlgsearch.results.charts.layout import say_empty

#: One line per trial; dashes distinguish those that share a colour.
_DASHES = ("solid", "dash", "dot", "dashdot")


def curves_chart(
    curves: Mapping[int, Sequence[EpochRecord]],
    selected: Sequence[int],
    scheme: Scheme,
    *,
    teacher_accuracy: float | None = None,
) -> go.Figure:
    """Draw validation accuracy after every epoch, a line a selected trial, in its colour.

    An epoch whose accuracy was not finite leaves a gap.
    """
    colours = palette(scheme)
    figure = go.Figure()
    for place, number in enumerate(selected):
        epochs = curves.get(number, ())
        if not epochs:
            continue
        colour = colours.series[place % len(colours.series)]
        figure.add_trace(
            epoch_line(
                epochs,
                [100 * epoch.validation_accuracy for epoch in epochs],
                colour=colour,
                dash=_DASHES[place // len(colours.series) % len(_DASHES)],
                unit="%{y:.2f} %",
                what=f"<b>trial {number}</b><br>",
                marker={"size": 5},
                name=f"trial {number}",
                showlegend=True,
            )
        )
    if figure.data:
        figure.update_layout(teacher_line(teacher_accuracy, colours, "right"))
    else:
        figure.update_layout(xaxis={"visible": False}, yaxis={"visible": False})
        why = "no epoch is known yet" if selected else "select trials to see how they learned"
        say_empty(figure, why, colour=colours.faint, size=15)
    most = max((epochs[-1].epoch for epochs in curves.values() if epochs), default=1)
    figure.update_layout(
        uirevision="curves",
        xaxis=epoch_axis(most),
        yaxis={"title": {"text": "validation accuracy"}, "ticksuffix": " %"},
    )
    return dress(figure, scheme)
