"""The scan of the paper: accuracy and memory over the two numbers of bases."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from dashboard.parts.page import Scheme
from dashboard.theme import Palette, dress, palette
from mlgsearch.results.analysis.grid_scan import GridScan
from mlgsearch.results.read.layer_grid import Floats
from mlgsearch.words import TIMES, counted

#: With fewer values of either number there is no area to draw.
LEAST_VALUES = 2


@dataclass(frozen=True)
class _Surface:
    label: str
    values: Floats
    colour: str


def scan_chart(scan: GridScan, scheme: Scheme) -> go.Figure:
    """Draw accuracy on the left and memory ratio on the right, over B_out and B_in.

    Lines join equal values; a dot is where trials were, and between dots values are
    interpolated. Gaps are closed by their neighbours where there are some on both sides.
    """
    assert is_area(scan)
    colours = palette(scheme)
    figure = go.Figure()
    accuracy = _Surface("validation accuracy in %", 100 * scan.accuracy.T, colours.front)
    memory = _Surface("memory ratio", scan.memory_ratio.T, colours.pruned)
    _add_surface(figure, scan, accuracy, colours, xaxis="x", yaxis="y")
    _add_surface(figure, scan, memory, colours, xaxis="x2", yaxis="y2")
    axis = {"showgrid": False, "fixedrange": True, "ticks": "outside"}
    small = {"font": {"size": 12}}
    outs, ins = scan.base_out.tolist(), scan.base_in.tolist()
    figure.update_layout(
        uirevision="scan",
        margin={"l": 52, "r": 12, "t": 30, "b": 48},
        xaxis={**axis, "domain": [0, 0.47], "title": {"text": "B_out", **small}},
        xaxis2={**axis, "domain": [0.53, 1], "title": {"text": "B_out", **small}},
        yaxis={**axis, "title": {"text": "B_in", **small}, "tickvals": ins},
        yaxis2={**axis, "anchor": "x2", "showticklabels": False, "tickvals": ins},
    )
    figure.update_xaxes(range=_with_air(outs))
    figure.update_yaxes(range=_with_air(ins))
    return dress(figure, scheme)


def _add_surface(
    figure: go.Figure, scan: GridScan, surface: _Surface, colours: Palette, **axes: str
) -> None:
    where = np.argwhere(scan.trials.T > 0)  # (points, 2): B_in, B_out
    figure.add_trace(
        go.Contour(
            x=scan.base_out.tolist(),
            y=scan.base_in.tolist(),
            z=[[None if np.isnan(v) else round(v, 5) for v in row] for row in surface.values],
            connectgaps=True,
            ncontours=12,
            colorscale=[[0, colours.grid], [1, surface.colour]],
            contours={"showlabels": True, "labelfont": {"size": 11, "color": colours.ink}},
            line={"width": 1, "color": colours.paper},
            showscale=False,
            hoverinfo="skip",
            **axes,
        )
    )
    figure.add_trace(
        go.Scatter(
            x=scan.base_out[where[:, 1]].tolist(),
            y=scan.base_in[where[:, 0]].tolist(),
            text=[_hover(scan, int(i), int(o)) for i, o in where],
            hovertemplate="%{text}<extra></extra>",
            mode="markers",
            marker={
                "size": 6,
                "color": colours.paper,
                "line": {"width": 1, "color": colours.ink},
            },
            showlegend=False,
            **axes,
        )
    )
    figure.add_annotation(
        text=surface.label,
        xref=f"{axes['xaxis']} domain",
        yref="paper",
        x=0,
        y=1,
        xanchor="left",
        yanchor="bottom",
        showarrow=False,
        font={"size": 13, "color": colours.ink},
    )


def _with_air(values: Sequence[int]) -> list[float]:
    """Return a range in which marks at its ends are whole."""
    air = 0.02 * (values[-1] - values[0])
    return [values[0] - air, values[-1] + air]


def present(scan: GridScan) -> GridScan:
    """Leave out what has a level that no layer has: 0 means it, and is no place of an axis."""
    ins, outs = scan.base_in > 0, scan.base_out > 0
    return GridScan(
        scan.base_in[ins],
        scan.base_out[outs],
        scan.trials[outs][:, ins],
        scan.accuracy[outs][:, ins],
        scan.memory_ratio[outs][:, ins],
    )


def is_area(scan: GridScan) -> bool:
    """Return whether there are enough values of both numbers for contours."""
    return min(len(scan.base_in), len(scan.base_out)) >= LEAST_VALUES


def scan_summary(scan: GridScan) -> str:
    """Describe where the most accurate point is, and what the points span."""
    best = np.unravel_index(np.nanargmax(scan.accuracy), scan.accuracy.shape)
    points = int((scan.trials > 0).sum())
    return (
        f"{points} points of {len(scan.base_in)} by {len(scan.base_out)} tried, "
        f"{int(scan.trials.sum())} trials: the most accurate has B_in {scan.base_in[best[1]]} and "
        f"B_out {scan.base_out[best[0]]}, {100 * scan.accuracy[best]:.2f} % at memory ratio "
        f"{scan.memory_ratio[best]:.4f}."
    )


def _hover(scan: GridScan, base_in: int, base_out: int) -> str:
    ratio = scan.memory_ratio[base_out, base_in]
    return (
        f"<b>B_in {scan.base_in[base_in]}, B_out {scan.base_out[base_out]}</b><br>"
        f"accuracy {100 * scan.accuracy[base_out, base_in]:.2f} %<br>"
        f"memory ratio {ratio:.4f} ({TIMES}{1 / ratio:.1f} smaller)<br>"
        f"{counted(int(scan.trials[base_out, base_in]), 'trial')}"
    )
