"""A mass of points as an image: how many fall into each cell of a grid."""

import math

import numpy as np
from numpy.typing import NDArray

from dashboard.theme import Trace

Floats = NDArray[np.float64]

#: Cells across and up: fine enough to see the shape, few enough to send in some kilobytes.
CELLS = (48, 30)

#: Stops of a scale of colours on which equal steps are equal factors.
_STOPS = 6


def density(x: Floats, y: Floats, *, colours: tuple[str, str], name: str, is_log_x: bool) -> Trace:
    """Draw how many of the points lie in each cell; empty cells are not drawn.

    Args:
        x: shape (n,), finite, positive on a log axis; n is at least 1.
        y: shape (n,), finite.
        colours: of one point a cell, and of the fullest cell, as #RRGGBB; between them equal
            factors are equal steps.
        name: in the legend.
        is_log_x: whether the cells are equally wide on a log axis.
    """
    across = np.log10(x) if is_log_x else x
    edges_x, edges_y = _edges(across, CELLS[0]), _edges(y, CELLS[1])
    counts, _, _ = np.histogram2d(y, across, bins=(edges_y, edges_x))  # (up, across)
    most = max(int(counts.max()), 2)
    cells = counts.astype(np.int64).astype(object)
    cells[counts == 0] = None  # leaves a cell empty
    return {
        "type": "heatmap",
        "x": _short(10**edges_x if is_log_x else edges_x),
        "y": _short(edges_y),
        "z": cells.tolist(),
        "zmin": 1,
        "zmax": most,
        "colorscale": _log_scale(most, colours),
        "hovertemplate": f"%{{z}} trials<extra>{name}</extra>",
        "hoverongaps": False,
        "showscale": False,
        "showlegend": True,
        "name": name,
    }


def blend(low: str, high: str, share: float) -> str:
    """Mix two colours, #RRGGBB, from the first at 0 to the second at 1."""
    channels = ((int(low[i : i + 2], 16), int(high[i : i + 2], 16)) for i in (1, 3, 5))
    return "#" + "".join(f"{round(a + (b - a) * share):02X}" for a, b in channels)


def _edges(values: Floats, cells: int) -> Floats:
    low, high = float(values.min()), float(values.max())
    air = (high - low) * 1e-3 or 1e-3  # one value has a cell around it, the last is inside
    edges: Floats = np.linspace(low - air, high + air, cells + 1)
    return edges


def _short(edges: Floats) -> list[float]:
    """Round to a hundredth of the narrowest cell."""
    digits = 2 - math.floor(math.log10(float(np.diff(edges).min())))
    return [round(float(edge), digits) for edge in edges]


def _log_scale(most: int, colours: tuple[str, str]) -> list[list[float | str]]:
    """Return stops of (share of the way from 1 to ``most``, colour), equal factors apart."""
    shares = [i / (_STOPS - 1) for i in range(_STOPS)]
    places = [(most**share - 1) / (most - 1) for share in shares[:-1]]
    return [
        [place, blend(*colours, share)] for place, share in zip([*places, 1.0], shares, strict=True)
    ]
