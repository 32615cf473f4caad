"""Layers along the front: a row per layer, a column per student, colour for what it is given."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from dashboard.charts.layers.layer_measure import Measure
from dashboard.charts.layers.layer_rows import BARE, lay_out_rows
from dashboard.charts.layers.layer_scale import Scale
from dashboard.parts.values.student import Student
from dashboard.theme import Palette, dress, ink_on, palette, text
from mlgsearch.results.read.layer_grid import Floats, LayerGrid

#: Columns that a page has room for; of more students so many are shown, evenly spaced.
MOST_COLUMNS = 40

#: How a column's name begins; the trial's number follows.
COLUMN = "trial "

#: Cells that have room for their value, and columns that have room for a heading of two lines even
#: on a page of 400 pixels.
_MOST_TEXTS = 600
_MOST_WIDE = 4

#: In pixels, the least width of a column with a heading of two lines and with an upright one, and
#: what a letter of a value needs; its point needs half of that.
_WIDE, _NARROW, _LETTER = 52, 18, 6

#: Pixels of the key to the colours, and of headings in two lines and upright ones.
_KEY = 60
_TWO_LINES, _UPRIGHT = 44, 112


def columns_shown(count: int) -> list[int]:
    """Return which of so many students to draw: all, or evenly spaced ones with both ends."""
    if count <= MOST_COLUMNS:
        return list(range(count))
    return [round(place) for place in np.linspace(0, count - 1, MOST_COLUMNS).tolist()]


def pixels_above(columns: int) -> int:
    """Return the height over the rows of a chart of so many columns: its key and headings."""
    return _KEY + (_TWO_LINES if columns <= _MOST_WIDE else _UPRIGHT)


def least_width(figure: go.Figure, columns: int) -> int:
    """Return the width in pixels in which headings and values of a chart can be read."""
    words = [word for trace in figure.data if trace.text for row in trace.text for word in row]
    letters = max((len(word) - word.count(".") / 2 for word in words), default=0)
    written = round(_LETTER * letters) + 8 if letters else 0
    column = max(_WIDE if columns <= _MOST_WIDE else _NARROW, written)
    margin = figure.layout.margin
    return int(margin.l + margin.r) + column * columns


def layers_chart(
    grid: LayerGrid,
    students: Sequence[Student],
    measure: Measure,
    scheme: Literal["light", "dark"],
    *,
    selected: int | None = None,
) -> go.Figure:
    """Draw the layers of students, in the students' order from left to right.

    Args:
        grid: one trial per student, in the same order.
        students: at least one.
        measure: what colour means; the study must store it.
        scheme: of the colours.
        selected: number of the trial whose column has a frame; it may be none of the students.

    A column is called ``COLUMN`` with its trial's number after it.
    """
    assert grid.numbers == tuple(student.number for student in students)
    colours = palette(scheme)
    shown = measure.coloured(grid)  # (T, L)
    absent = measure.absent(grid)
    scale = Scale.of(measure, shown, colours, has_absent=bool(absent.any()))
    cells: dict[str, Any] = {
        "x": [f"{COLUMN}{student.number}" for student in students],
        "y": _full_names(grid),
        "xgap": 1,
        "ygap": 1,
        "zmin": scale.zmin,
        "zmax": scale.high,
        "colorscale": scale.stops,
    }
    figure = go.Figure(
        go.Heatmap(
            z=_rows(np.where(absent, scale.zmin, shown)),
            customdata=_hover_data(grid),
            hovertemplate=_hover(grid),
            hoverongaps=False,
            colorbar=scale.key(measure),
            **cells,
        )
    )
    if shown.size <= _MOST_TEXTS:
        for ink, texts in _texts(measure, grid, shown, absent, scale).items():
            figure.add_heatmap(
                # No other cells, whose words they would hide.
                z=[
                    [place if words else None for place, words in zip(*row, strict=True)]
                    for row in zip(figure.data[0].z, texts, strict=True)
                ],
                text=texts,
                texttemplate="%{text}",
                textfont={"color": ink},
                hoverinfo="skip",
                showscale=False,
                **cells,
            )
    top = pixels_above(len(students))
    lay_out_rows(figure, grid.layers, colours, top=top, bottom=BARE)
    figure.update_layout(uirevision="layers")
    _head_columns(figure, students)
    _name_key(figure, measure.label, top=top)
    if selected in grid.numbers:
        _frame(figure, grid.numbers.index(selected), len(grid.layers), colours)
    return dress(figure, scheme)


def _head_columns(figure: go.Figure, students: Sequence[Student]) -> None:
    is_wide = len(students) <= _MOST_WIDE
    figure.update_xaxes(
        side="top",
        range=[-0.5, len(students) - 0.5],
        tickvals=[f"{COLUMN}{student.number}" for student in students],
        ticktext=[_heading(student, is_wide=is_wide) for student in students],
        tickangle=0 if is_wide else -90,
        automargin=False,
        fixedrange=True,
        showgrid=False,
        showline=False,
        ticks="",
    )


def _name_key(figure: go.Figure, label: str, *, top: int) -> None:
    # Not the key's own title, which plotly 7.1 writes over a key that lies.
    figure.add_annotation(
        text=text(label),
        x=0,
        xref="paper",
        xanchor="left",
        xshift=12 - figure.layout.margin.l,
        y=1,
        yref="paper",
        yanchor="top",
        yshift=top - 2,
        font={"size": 12},
        showarrow=False,
    )


def layers_summary(grid: LayerGrid, measure: Measure, *, front_size: int) -> str:
    """Describe in a sentence what the chart shows of a front of so many students."""
    drawn = len(grid.numbers)
    of = f"{drawn}" if drawn == front_size else f"{drawn} of the {front_size}"
    label = measure.label[0].upper() + measure.label[1:]
    start = f"{label} of {len(grid.layers)} layers in {of} students of the front"
    shown = measure.coloured(grid)
    is_known = np.isfinite(shown)
    if not is_known.any():
        return f"{start}: no value is known."
    known = measure.values(grid)[is_known]
    low, high = measure.write(float(known.min())), measure.write(float(known.max()))
    said = f"{start}: all {low}" if low == high else f"{start}: from {low} to {high}"
    # Spread of each layer along the front; what is never known has none.
    spans = np.where(is_known, shown, -np.inf).max(0) - np.where(is_known, shown, np.inf).min(0)
    most = int(np.argmax(spans))
    if spans[most] > 0:
        said += f"; {grid.layers[most]} changes most along the front"
    return f"{said}."


def _rows(values: Floats, digits: int = 4) -> list[list[float | None]]:
    """Write values (T, L) as rows of layers, with few digits: a page's cells are small."""
    return [
        [round(value, digits) if np.isfinite(value) else None for value in row]
        for row in values.T.tolist()
    ]


def _full_names(grid: LayerGrid) -> list[str]:
    """Name the rows as a hover does: in full, with kind and shape where they are known."""
    if not grid.records:
        return [f"<b>{text(layer)}</b>" for layer in grid.layers]
    return [
        f"<b>{text(layer)}</b>  {record.kind} {record.shape}"
        for layer, record in zip(grid.layers, grid.records, strict=True)
    ]


def _texts(
    measure: Measure, grid: LayerGrid, shown: Floats, absent: NDArray[np.bool_], scale: Scale
) -> dict[str, list[list[str]]]:
    """Write the values (T, L) for the cells (L, T): what is in black, and what is in white.

    Plotly's own choice for one trace, white or a grey, is hard to read on half of the colours.
    """
    texts = np.where(absent, "\N{EN DASH}", "").astype(object)
    known = np.isfinite(shown)
    texts[known] = [measure.write(value) for value in measure.values(grid)[known].tolist()]
    places = np.where(absent, scale.zmin, shown)
    inks = np.full(texts.shape, "", dtype=object)
    inks[texts != ""] = [ink_on(scale.colour(place)) for place in places[texts != ""].tolist()]
    widest = max(map(len, texts.flat), default=0)
    found = {}
    for ink in dict.fromkeys(inks[texts != ""].tolist()):
        own = np.where(inks == ink, texts, "")
        # Plotly's size of a trace's words follows from its longest.
        trial, layer = np.argwhere(inks == ink)[0]
        own[trial, layer] = own[trial, layer].center(widest, "\N{FIGURE SPACE}")
        found[ink] = own.T.tolist()
    return found


def _hover_data(grid: LayerGrid) -> list[list[list[Any]]]:
    """Return per cell: trial, five numbers, and bytes, bits per weight and damage where known."""
    known = [grid.bits / 8, grid.bits_a_weight(), 100 * grid.damage]
    columns = [_rows(values, 2) for values in known if np.isfinite(values).any()]
    return [
        [
            [
                number,
                *grid.settings[trial, place].tolist(),
                *(rows[place][trial] for rows in columns),
            ]
            for trial, number in enumerate(grid.numbers)
        ]
        for place in range(len(grid.layers))
    ]


def _hover(grid: LayerGrid) -> str:
    lines = [
        "%{y}",
        "trial %{customdata[0]}",
        "B_in %{customdata[1]}, B_out %{customdata[2]}  (0: no such level)",
        "bits: basis %{customdata[3]}, coeff_in %{customdata[4]}, coeff_out %{customdata[5]}",
    ]
    known = [
        said
        for said, values in (
            ("%{{customdata[{}]:,.0f}} bytes", grid.bits),
            ("%{{customdata[{}]}} bits per weight", grid.bits_a_weight()),
            ("predicted damage %{{customdata[{}]}} %", grid.damage),
        )
        if np.isfinite(values).any()
    ]
    lines += [said.format(place) for place, said in enumerate(known, start=6)]
    return "<br>".join(lines) + "<extra></extra>"


def _heading(student: Student, *, is_wide: bool) -> str:
    between = "<br>" if is_wide else "  "
    return f"<b>{student.size}</b>{between}{100 * student.accuracy:.2f} %"


def _frame(figure: go.Figure, column: int, layers: int, colours: Palette) -> None:
    figure.add_shape(
        type="rect",
        x0=column - 0.5,
        x1=column + 0.5,
        y0=-0.5,
        y1=layers - 0.5,
        line={"width": 2.5, "color": colours.ink},
    )
