"""What each layer takes in one student, beside what it takes in the plain network."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from dashboard.charts.layers.layer_rows import WITH_AXIS, lay_out_rows
from dashboard.parts.page import Scheme
from dashboard.parts.values.student import Student, written_bytes
from dashboard.theme import Palette, dress, palette, text
from mlgsearch.results.charts.layout import say_empty
from mlgsearch.results.read.layer_grid import LayerGrid
from mlgsearch.words import TIMES

#: From bytes to how an axis calls them; KB are of 1,000 bytes.
_TICKS = {
    10**power * scale: f"{10**power} {unit}"
    for unit, scale in (("B", 1), ("KB", 10**3), ("MB", 10**6))
    for power in range(3)
}


def layer_bytes_chart(grid: LayerGrid, student: Student, scheme: Scheme, *, top: int) -> go.Figure:
    """Draw the bytes of each layer's factors in a trial of the grid, from those of its weight.

    ``top`` is the pixels over the rows: those of the chart beside it.

    Both are points on a log axis with a line between them, because a bar has no beginning there:
    the longer the line, the more the layer was compressed. A layer whose bits are not known has
    none; where the study does not know its layers' weights, the trial's points are drawn alone.
    """
    colours = palette(scheme)
    now = [
        value / 8 if np.isfinite(value) else None
        for value in grid.bits[grid.numbers.index(student.number)].tolist()
    ]
    plain = [record.plain_bits / 8 for record in grid.records]
    notes = _notes(grid.layers, now, plain)
    figure = go.Figure()
    if plain:
        _add_plain(figure, plain, now, notes, colours)
    figure.add_trace(
        go.Scatter(
            x=now,
            y=list(range(len(grid.layers))),
            text=notes,
            hovertemplate="%{text}<extra></extra>",
            mode="markers",
            marker={"symbol": "circle", "size": 8, "color": colours.front},
            name=f"trial {student.number}",
            showlegend=True,
        )
    )
    lay_out_rows(figure, grid.layers, colours, top=top, bottom=WITH_AXIS)
    figure.update_xaxes(
        type="log",
        title={"text": "bytes (log scale)", "standoff": 6, "font": {"size": 12}},
        tickvals=list(_TICKS),
        ticktext=list(_TICKS.values()),
        automargin=False,
        fixedrange=True,
    )
    figure.update_yaxes(gridcolor=colours.grid, showgrid=True)
    figure.add_annotation(
        text=f"<b>trial {student.number}</b><br>{student.size}, {100 * student.accuracy:.2f} %",
        xref="paper",
        x=0,
        xanchor="left",
        yref="paper",
        y=1,
        yanchor="top",
        yshift=top,
        align="left",
        showarrow=False,
        font={"size": 14},
    )
    if not any(now):
        figure.update_xaxes(range=[2, 5])
        why = "not stored by the version<br>that ran this study"
        say_empty(figure, why, colour=colours.faint, size=15)
    figure.update_layout(uirevision="layer-bytes", legend={"y": 1, "yanchor": "bottom", "x": 0})
    return dress(figure, scheme)


def _notes(layers: Sequence[str], now: Sequence[float | None], plain: Sequence[float]) -> list[str]:
    """Return the hover text of each layer; ``plain`` is empty where it is not known."""
    notes = [
        f"<b>{text(layer)}</b><br>{_said(value)}" for layer, value in zip(layers, now, strict=True)
    ]
    if not plain:
        return notes
    return [
        f"{note}<br>plain: {written_bytes(before)}" + _times(before, value)
        for note, before, value in zip(notes, plain, now, strict=True)
    ]


def _add_plain(
    figure: go.Figure,
    plain: Sequence[float],
    now: Sequence[float | None],
    notes: Sequence[str],
    colours: Palette,
) -> None:
    """Draw the plain network's points, and the lines from them to the trial's."""
    rows = list(range(len(plain)))
    figure.add_trace(
        go.Scatter(
            x=[x for pair in zip(now, plain, strict=True) for x in (*pair, None)],
            y=[y for row in rows for y in (row, row, row)],
            mode="lines",
            line={"width": 2, "color": colours.faint},
            opacity=0.4,
            hoverinfo="skip",
            showlegend=False,
        )
    )
    figure.add_trace(
        go.Scatter(
            x=plain,
            y=rows,
            text=notes,
            hovertemplate="%{text}<extra></extra>",
            mode="markers",
            marker={
                "symbol": "circle-open",
                "size": 8,
                "color": colours.faint,
                "line": {"width": 1.5},
            },
            name="plain, 32 bits",
        )
    )


def layer_bytes_summary(grid: LayerGrid, trial: int) -> str:
    """Describe which layers take most of a trial's bytes, and which were compressed most."""
    bits = grid.bits[grid.numbers.index(trial)]
    if not np.isfinite(bits).all():
        return f"Bytes of the layers of trial {trial}: not all are known."
    order = np.argsort(-bits)
    most = ", ".join(
        f"{grid.layers[i]} ({written_bytes(bits[i] / 8)}, {bits[i] / bits.sum():.0%})"
        for i in order[:3]
    )
    said = f"Largest layers of trial {trial}: {most}."
    if grid.records:
        times = np.array([record.plain_bits for record in grid.records]) / bits
        place = int(np.argmax(times))
        said += f" Most compressed: {grid.layers[place]}, {TIMES}{times[place]:.0f} smaller."
    return said


def _said(value: float | None) -> str:
    return "not known" if value is None else f"now: {written_bytes(value)}"


def _times(before: float, value: float | None) -> str:
    return "" if value is None else f"<br>{TIMES}{before / value:.1f} smaller"
