"""Pictures of what is known before any training: the planned front, and what layers cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import plotly.graph_objects as go

from mlgsearch.records import OBJECTIVES, PlannedStudent
from mlgsearch.results.charts.axis import axis_of
from mlgsearch.results.charts.layout import BLUE, GREY, lay_out
from mlgsearch.words import TIMES

#: Bars a picture is tall enough for, in pixels each.
_BAR_HEIGHT = 22


def plan_chart(points: Sequence[PlannedStudent], title: str) -> go.Figure:
    """Draw predicted damage upwards against the memory ratio to the right."""
    figure = go.Figure(
        go.Scatter(
            x=[point.memory_ratio for point in points],
            y=[100 * point.damage for point in points],
            text=[
                f"<b>{point.packed_bytes / 1000:.1f} KB</b><br>memory ratio: "
                f"{point.memory_ratio:.4f} ({TIMES}{1 / point.memory_ratio:.1f})<br>"
                f"predicted damage: {100 * point.damage:.1f} %"
                for point in points
            ],
            hovertemplate="%{text}<extra></extra>",
            mode="lines+markers",
            line={"width": 2, "color": BLUE},
            marker={"size": 10, "color": BLUE, "line": {"width": 1.5, "color": "white"}},
            showlegend=False,
        )
    )
    ratio = OBJECTIVES["memory_ratio"]
    figure.update_xaxes(axis_of(ratio, [point.memory_ratio for point in points]))
    figure.update_yaxes(
        title={"text": "predicted damage, mean of the layers", "standoff": 12},
        ticksuffix=" %",
        rangemode="tozero",
        gridcolor="#E6E6E6",
        linecolor="#999999",
        showline=True,
    )
    lay_out(figure, title, "Planned front: 0 % is the teacher, 100 % is nothing left of it")
    return figure


@dataclass(frozen=True)
class LayerBar:
    """A layer's bar: its length, half the width of its uncertainty or None, and its hover."""

    layer: str
    value: float
    spread: float | None
    note: str


def layers_chart(bars: Sequence[LayerBar], title: str, subtitle: str, axis: str) -> go.Figure:
    """Draw a bar per layer, the first on top; texts are shown as they are written."""
    spreads = [bar.spread for bar in bars]
    figure = go.Figure(
        go.Bar(
            y=[escape(bar.layer, quote=False) for bar in bars],
            x=[bar.value for bar in bars],
            error_x=(
                None
                if None in spreads
                else {"array": spreads, "color": GREY, "thickness": 1.5, "width": 3}
            ),
            text=[escape(bar.note, quote=False) for bar in bars],
            hovertemplate="<b>%{y}</b><br>%{text}<extra></extra>",
            textposition="none",
            orientation="h",
            marker={"color": BLUE},
            showlegend=False,
        )
    )
    figure.update_yaxes(autorange="reversed", automargin=True)
    figure.update_xaxes(
        title={"text": escape(axis, quote=False), "standoff": 12},
        gridcolor="#E6E6E6",
        zerolinecolor="#999999",
    )
    lay_out(figure, title, subtitle)
    figure.update_layout(height=max(480, 200 + _BAR_HEIGHT * len(bars)), bargap=0.3)
    return figure
