"""The colours of layers' cells: a scale, with room for what is absent, and its key."""

from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from dashboard.charts.layers.layer_measure import Measure
from dashboard.theme import Palette
from mlgsearch.results.charts.layout import blend
from mlgsearch.results.read.layer_grid import Floats

#: Van der Walt and Smith (2015): readable in every colour vision and by lightness alone; unlike
#: others of the kind it has no grey, which marks what is absent.
_VIRIDIS = (
    "#440154",
    "#482878",
    "#3E4A89",
    "#31688E",
    "#26828E",
    "#1F9E89",
    "#35B779",
    "#6DCD59",
    "#B4DE2C",
    "#FDE725",
)

#: Length of the key's part for what is absent, in lengths of the others'.
_ABSENT = 0.24


@dataclass(frozen=True)
class Scale:
    """A scale of colours from ``low`` to ``high``; below it is room for what is absent."""

    low: float
    high: float
    zmin: float
    stops: list[list[float | str]]

    def colour(self, value: float) -> str:
        """Return a value's colour, #RRGGBB, as plotly mixes it."""
        share = (value - self.zmin) / (self.high - self.zmin)
        places = [float(place) for place, _ in self.stops]
        above = min(max(bisect(places, share), 1), len(places) - 1)
        low, high = places[above - 1], places[above]
        between = min((share - low) / (high - low), 1.0) if high > low else 0.0
        return blend(str(self.stops[above - 1][1]), str(self.stops[above][1]), between)

    @classmethod
    def of(cls, measure: Measure, shown: Floats, colours: Palette, *, has_absent: bool) -> Self:
        """Span the known of the values ``shown``, shape (T, L), as the measure is coloured."""
        low, high = _range(measure, shown)
        hues = (colours.front, colours.grid, colours.pruned) if measure.is_change else _VIRIDIS
        if not has_absent:
            return cls(low, high, low, [[place, hue] for place, hue in _spread(hues, 0.0)])
        zmin = low - _ABSENT * (high - low)
        begin = _ABSENT / (1 + _ABSENT)
        grey: list[list[float | str]] = [[0.0, colours.grid], [begin, colours.grid]]
        return cls(low, high, zmin, grey + [[place, hue] for place, hue in _spread(hues, begin)])

    def key(self, measure: Measure) -> dict[str, Any]:
        """Describe the key to the colours, over the chart's left end."""
        ticks = _ticks(measure, self.low, self.high)
        words = [measure.write(measure.unscaled(tick)) for tick in ticks]
        if self.zmin < self.low:
            ticks = [(self.zmin + self.low) / 2, *ticks]
            words = ["absent", *words]
        return {
            "orientation": "h",
            "x": 0,
            "xref": "container",
            "xanchor": "left",
            "xpad": 12,
            "y": 1,
            "yref": "container",
            "yanchor": "top",
            "ypad": 20,  # under its title
            "len": 290,
            "lenmode": "pixels",
            "thickness": 11,
            "outlinewidth": 0,
            "tickfont": {"size": 11},
            "tickangle": 0,
            "tickvals": ticks,
            "ticktext": words,
        }


def _spread(hues: Sequence[str], begin: float) -> Iterator[tuple[float, str]]:
    for place, hue in enumerate(hues):
        yield begin + (1 - begin) * place / (len(hues) - 1), hue


def _range(measure: Measure, shown: Floats) -> tuple[float, float]:
    known = shown[np.isfinite(shown)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    if measure.is_change:
        most = max(high, -low, 1.0)
        return -most, most
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _ticks(measure: Measure, low: float, high: float) -> list[float]:
    """Return some places of the scale: whole ones where there are enough."""
    step = max(1, round((high - low) / 5))
    whole = [float(tick) for tick in range(int(np.ceil(low)), int(high) + 1, step)]
    if len(whole) > 2 or (measure.is_whole and whole):
        return whole
    places: list[float] = np.linspace(low, high, 4).tolist()
    return places
