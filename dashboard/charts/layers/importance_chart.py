"""Which layers matter: what each one did to the trials' accuracy, beside what was predicted."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from dashboard.charts.layers.layer_rows import WITH_AXIS, lay_out_rows
from dashboard.parts.page import Scheme
from dashboard.theme import Palette, dress, palette, text
from mlgsearch.results.analysis.effects.importance import Importance, LayerImportance
from mlgsearch.results.read.layer_grid import Floats

_TOP = 48

#: Where the two panels meet, in widths of the chart.
_LEFT, _RIGHT = 0.66, 0.72


def importance_chart(
    found: Importance, order: Sequence[int], predicted: Floats | None, scheme: Scheme
) -> go.Figure:
    """Draw a row per layer, in ``order``: points with 95 % intervals, filled where they are clear.

    To the right, where it is known, how much the prediction of the layer's damage differed between
    trials: a layer that mattered as planned is far out in both.
    """
    colours = palette(scheme)
    layers = [found.layers[place] for place in order]
    clear = [place for place, layer in enumerate(layers) if layer in found.clear]
    others = [place for place, layer in enumerate(layers) if layer not in found.clear]
    figure = go.Figure()
    for places, name, colour, symbol in (
        (clear, "stands out from chance", colours.front, "circle"),
        (others, "no effect shown", colours.complete, "circle-open"),
    ):
        shown = [layers[place] for place in places]
        figure.add_trace(
            go.Scatter(
                x=[round(100 * layer.moved, 4) for layer in shown],
                y=places,
                error_x={
                    "array": [round(100 * (layer.high - layer.moved), 4) for layer in shown],
                    "color": colour,
                    "thickness": 1.5,
                    "width": 0,
                },
                text=[_hover(layer) for layer in shown],
                hovertemplate="%{text}<extra></extra>",
                mode="markers",
                marker={"symbol": symbol, "size": 9, "color": colour, "line": {"width": 1.5}},
                name=f"{name} ({len(places)})",
                showlegend=True,
            )
        )
    if predicted is not None:
        _add_predicted(figure, layers, [float(predicted[place]) for place in order], colours)
    figure.update_layout(
        xaxis={
            **_axis("moved, points", colours),
            "domain": [0, 1 if predicted is None else _LEFT],
        },
        bargap=0.45,
        uirevision="importance",
    )
    lay_out_rows(figure, [layer.layer for layer in layers], colours, top=_TOP, bottom=WITH_AXIS)
    if list(order) != sorted(order):
        figure.layout.shapes = ()  # blocks of the network mean nothing in another order
    figure.update_yaxes(gridcolor=colours.grid, showgrid=True)
    return dress(figure, scheme)


def _add_predicted(
    figure: go.Figure,
    layers: Sequence[LayerImportance],
    predicted: Sequence[float],
    colours: Palette,
) -> None:
    """Draw the panel on the right; NaN is a layer of which nothing was predicted."""
    figure.add_trace(
        go.Bar(
            x=[None if np.isnan(value) else round(100 * value, 4) for value in predicted],
            y=list(range(len(layers))),
            xaxis="x2",
            orientation="h",
            marker={"color": colours.planned, "opacity": 0.75},
            text=[f"<b>{text(layer.layer)}</b>" for layer in layers],
            textposition="none",
            hovertemplate="%{text}<br>predicted damage differed by %{x:.1f} %<extra></extra>",
            showlegend=False,
        )
    )
    figure.update_layout(
        xaxis2={
            **_axis("predicted, %", colours),
            "domain": [_RIGHT, 1],
            "rangemode": "tozero",
            "nticks": 3,
            "tickangle": 0,
        }
    )


def _axis(title: str, colours: Palette) -> dict[str, Any]:
    return {
        "automargin": False,
        "fixedrange": True,
        "zeroline": True,
        "zerolinecolor": colours.faint,
        "title": {"text": title, "font": {"size": 12}, "standoff": 6},
    }


def importance_summary(found: Importance) -> str:
    """Name what moved accuracy most."""
    first = found.clear[:3]
    if not found.is_enough:
        return "There are too few trials to name what moved accuracy."
    if not first:
        return "Nothing stands out from chance."
    named = ", ".join(f"{layer.layer} ({_points(layer.moved)})" for layer in first)
    return f"Accuracy was moved most by {named}."


def _hover(layer: LayerImportance) -> str:
    lines = [
        f"<b>{text(layer.layer)}</b>",
        f"moved accuracy by {_points(layer.moved)}",
        f"95 % interval: {100 * layer.low:.2f} to {100 * layer.high:.2f}",
    ]
    if layer.gain is not None:
        lines.append(f"twice its bits go with {100 * layer.gain:+.2f} points")
    return "<br>".join(lines)


def _points(fraction: float) -> str:
    return f"{100 * fraction:.2f} points"
