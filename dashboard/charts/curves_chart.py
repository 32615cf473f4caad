"""How the selected trials learned, epoch by epoch."""

from collections.abc import Mapping, Sequence

from dashboard.charts.lines.epoch_line import epoch_axis, epoch_line
from dashboard.charts.lines.teacher_line import teacher_line
from dashboard.parts.page import Scheme
from dashboard.theme import Figure, palette, template
from mlgsearch.records import EpochRecord
from mlgsearch.results.charts.layout import emptiness


def curves_chart(
    curves: Mapping[int, Sequence[EpochRecord]],
    selected: Sequence[int],
    scheme: Scheme,
    *,
    empty: str = "no epoch is known yet",
    teacher_accuracy: float | None = None,
) -> Figure:
    """Draw validation accuracy after every epoch, a line per selected trial, in its colour.

    An epoch whose accuracy was not finite leaves a gap; ``empty`` says why there is no line.
    """
    colours = palette(scheme)
    lines = [
        epoch_line(
            epochs,
            [100 * epoch.validation_accuracy for epoch in epochs],
            colour=colours.colour(place),
            dash=colours.dash(place),
            unit="%{y:.2f} %",
            what=f"<b>trial {number}</b><br>",
            marker={"size": 5},
            name=f"trial {number}",
            showlegend=True,
        )
        for place, number in enumerate(selected)
        if (epochs := curves.get(number))
    ]
    most = max((epochs[-1].epoch for epochs in curves.values() if epochs), default=1)
    height = {"title": {"text": "validation accuracy"}, "ticksuffix": " %"}
    if lines:
        around = teacher_line(teacher_accuracy, colours, "right")
    else:
        around = {"annotations": [emptiness(empty, colour=colours.faint, size=15)]}
    return {
        "data": lines,
        "layout": {
            "template": template(scheme),
            "uirevision": "curves",
            "xaxis": epoch_axis(most) | {"visible": bool(lines)},
            "yaxis": height | {"visible": bool(lines)},
            **around,
        },
    }
