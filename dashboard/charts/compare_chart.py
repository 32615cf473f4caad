"""The fronts of several studies on one picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from dashboard.charts.axes.size_axis import SizeAxis
from dashboard.charts.axes.zoom import Zoom, front_scales
from dashboard.charts.compared import reference_marks
from dashboard.charts.trial_marks import TrialMarks
from dashboard.parts.page import Scheme
from dashboard.theme import dress, palette, text
from mlgsearch.records import ReferencePoint
from mlgsearch.results.analysis.trial_columns import Rows, TrialColumns

#: Shapes and dashes distinguish studies where colours do not.
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "hexagon", "star", "pentagon")

#: Letters of a name that a legend has room for.
_LEGEND_LENGTH = 40


@dataclass(frozen=True)
class StudyFront:
    """A study, and the rows of its front of accuracy and the size that is drawn."""

    name: str
    columns: TrialColumns
    rows: Rows


def compare_chart(
    fronts: Sequence[StudyFront],
    axis: SizeAxis,
    references: Sequence[ReferencePoint],
    scheme: Scheme,
    zoom: Zoom | None = None,
) -> go.Figure:
    """Draw each front as a step line with points, in a colour, shape and dash of its own.

    ``customdata`` of a point holds its trial's number.
    """
    colours = palette(scheme)
    figure = go.Figure()
    xs = [point.memory_ratio for point in references if axis.objective == "memory_ratio"]
    ys = [100 * point.accuracy for point in references if axis.objective == "memory_ratio"]
    for place, front in enumerate(fronts):
        marks = TrialMarks(front.columns, axis)
        rows = marks.drawable(front.rows)
        rows = rows[np.lexsort((marks.y[rows], marks.x[rows]))]
        colour = colours.colour(place)
        figure.add_trace(
            marks.points(
                rows,
                text(_short(front.name)),
                {"symbol": _SYMBOLS[place % len(_SYMBOLS)], "size": 9, "color": colour},
                heading=text(_short(front.name)),
                line={
                    "shape": "hv",
                    "width": 2,
                    "color": colour,
                    "dash": colours.dash(place),
                },
                mode="lines+markers",
                showlegend=True,
            )
        )
        xs += marks.x[rows].tolist()
        ys += marks.y[rows].tolist()
    figure.add_traces(reference_marks(references, axis, colours))
    figure.update_layout(front_scales(axis, xs, ys, zoom), uirevision=axis.shown.name)
    return dress(figure, scheme)


def _short(name: str) -> str:
    if len(name) <= _LEGEND_LENGTH:
        return name
    return f"{name[: _LEGEND_LENGTH - 1]}\N{HORIZONTAL ELLIPSIS}"
