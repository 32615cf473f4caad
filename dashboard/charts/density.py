"""A mass of points as an image: how many fall into each cell of a grid."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dashboard.theme import Trace
from mlgsearch.results.charts.layout import blend

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
        colours: of one point per cell, and of the fullest cell, as #RRGGBB; between them equal
            factors are equal steps.
        name: in the legend.
        is_log_x: whether the cells are equally wide on a log axis.
    """
    across = np.log10(x) if is_log_x else x
    edges_x, edges_y = _edges(across, CELLS[0]), _edges(y, CELLS[1])
    counts, _, _ = np.histogram2d(y, across, bins=(edges_y, edges_x))  # (up, across)
    most = max(int(counts.max()), 2)
    return {
        **_heatmap(edges_x, edges_y, counts.astype(np.int64), counts, is_log_x=is_log_x),
        "zmax": most,
        "colorscale": _log_scale(most, colours),
        "hovertemplate": f"%{{z}} trials<extra>{name}</extra>",
        "showlegend": True,
        "name": name,
    }


def density_of_groups(
    x: Floats, y: Floats, groups: NDArray[np.int64], *, colours: Sequence[str], is_log_x: bool
) -> Trace:
    """Draw in each cell the colour of the group that most of its points are of.

    Args:
        x: as `density`.
        y: as `density`.
        groups: places in ``colours``, shape (n,).
        colours: of each group, at least two.
        is_log_x: as `density`.
    """
    across = np.log10(x) if is_log_x else x
    edges_x, edges_y = _edges(across, CELLS[0]), _edges(y, CELLS[1])
    of_groups = np.stack(
        [
            np.histogram2d(y[own], across[own], bins=(edges_y, edges_x))[0]
            for own in (groups == group for group in range(len(colours)))
        ]
    )  # (groups, up, across)
    counts = of_groups.sum(0)
    last = len(colours) - 1
    return {
        **_heatmap(edges_x, edges_y, of_groups.argmax(0) + 1, counts, is_log_x=is_log_x),
        "zmax": last + 1,
        "colorscale": [[place / last, colour] for place, colour in enumerate(colours)],
        "text": [[int(count) for count in row] for row in counts.tolist()],
        "hovertemplate": "%{text} trials<extra></extra>",
        "showlegend": False,
    }


def _heatmap(
    edges_x: Floats, edges_y: Floats, values: NDArray[np.int64], counts: Floats, *, is_log_x: bool
) -> Trace:
    """Return cells of values from 1 on, shape (up, across), empty where the count is 0."""
    cells = values.astype(object)
    cells[counts == 0] = None  # leaves a cell empty
    return {
        "type": "heatmap",
        "x": _short(10**edges_x if is_log_x else edges_x),
        "y": _short(edges_y),
        "z": cells.tolist(),
        "zmin": 1,
        "hoverongaps": False,
        "showscale": False,
    }


def _edges(values: Floats, cells: int) -> Floats:
    low, high = float(values.min()), float(values.max())
    # One value has a cell around it, also where rounding makes it several; the last is inside.
    is_one = high - low <= 1e-9 * max(abs(low), abs(high))
    air = 1e-3 if is_one else (high - low) * 1e-3
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
