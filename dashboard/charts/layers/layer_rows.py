"""The rows that charts of layers share: a layer each, the network's input on top."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from dashboard.charts.layers.layer_names import groups, short_names
from dashboard.theme import Palette, text

#: Below the last row there is nothing, or an axis with its title.
BARE, WITH_AXIS = 14, 52

_LETTER = 7


def row_height(layers: int) -> int:
    """Return the height of a row in pixels: fewer layers have more room."""
    most = max(26, 120 // max(layers, 1))  # a key to colours needs some height as well
    return int(np.clip(620 // max(layers, 1), 15, most))


def lay_out_rows(
    figure: go.Figure, layers: Sequence[str], colours: Palette, *, top: int, bottom: int
) -> None:
    """Set the rows and height of a figure; ``top`` and ``bottom`` are the pixels around them.

    A faint line parts the network's blocks. A trace's ``y`` is the index of the layer, or
    one text per layer in their order.
    """
    height = row_height(len(layers))
    names = short_names(layers)
    figure.update_layout(
        height=top + height * len(layers) + bottom,
        margin={
            "l": 14 + _LETTER * max(map(len, names), default=0),
            "r": 10,
            "t": top,
            "b": bottom,
        },
        dragmode=False,
    )
    figure.update_yaxes(
        range=[len(layers) - 0.5, -0.5],
        tickvals=list(range(len(layers))),
        ticktext=[text(name) for name in names],
        tickfont={"size": 12 if height >= 18 else 11},
        automargin=False,
        fixedrange=True,
        showgrid=False,
        showline=False,
        ticks="",
    )
    for place in groups(layers):
        figure.add_shape(
            type="line",
            xref="paper",
            x0=0,
            x1=1,
            y0=place - 0.5,
            y1=place - 0.5,
            line={"width": 1, "color": colours.faint},
            opacity=0.7,
        )
