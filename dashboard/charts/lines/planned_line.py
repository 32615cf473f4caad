"""The planned front beside a study's trials: predicted damage has an axis of its own."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from dashboard.charts.axes.size_axis import SizeAxis
from dashboard.theme import Palette, Trace
from mlgsearch.records import PlannedStudent


@dataclass(frozen=True)
class PlannedLine:
    """A planned front, and where its damage is drawn against accuracies.

    A plan predicts damage, not accuracy; so it has an axis to the right, in percent and downwards,
    on which no damage is at ``top`` percent of accuracy and a damage of ``per_point`` lower by
    one. The two axes say nothing about each other: only the shapes of the two fronts compare.
    """

    points: Sequence[PlannedStudent]
    axis: SizeAxis
    top: float
    per_point: float

    @classmethod
    def of(
        cls, points: Sequence[PlannedStudent], axis: SizeAxis, heights: tuple[float, float]
    ) -> Self | None:
        """Let the line span the heights between two accuracies in percent, lower first.

        None where nothing is planned, or a plan does not know its size in the axis's unit.
        """
        if not points or axis.objective not in ("memory_ratio", "packed_bytes"):
            return None
        low, high = heights
        most = 100 * max(point.damage for point in points)
        return cls(points, axis, high, (most or 1.0) / (high - low))

    def trace(self, colours: Palette) -> Trace:
        """Draw the line, on the axis ``y3``."""
        return {
            "type": "scatter",
            "x": [getattr(point, self.axis.objective) / self.axis.unit for point in self.points],
            "y": [round(100 * point.damage, 3) for point in self.points],
            "yaxis": "y3",
            "hovertemplate": (
                "<b>planned</b><br>predicted damage: %{y:.1f} %<br>"
                f"{self.axis.shown.label}: %{{x:{self.axis.d3}}}<extra></extra>"
            ),
            "mode": "lines+markers",
            "line": {"width": 1.5, "dash": "dot", "color": colours.planned},
            "marker": {"symbol": "square-open", "size": 6, "color": colours.planned},
            "name": f"planned ({len(self.points)})",
        }

    def settings(self, accuracies: tuple[float, float], colours: Palette) -> dict[str, Any]:
        """Return the settings of ``y3`` beside an axis of accuracies in percent, lower first."""
        low, high = ((self.top - accuracy) * self.per_point for accuracy in accuracies)
        return {
            "overlaying": "y",
            "side": "right",
            "range": [low, high],
            "fixedrange": True,  # it follows the accuracies
            "showgrid": False,
            "zeroline": False,
            "tickvals": _ticks(low, high),
            "title": {"text": "predicted damage in %", "font": {"color": colours.planned}},
            "tickfont": {"color": colours.planned},
        }


def _ticks(low: float, high: float) -> list[float]:
    """Return round damages in percent between two; there is none below 0, and none above all."""
    few = abs(high - low) / 7
    decade = 10.0 ** math.floor(math.log10(few))
    step = next(step for step in (decade, 2 * decade, 5 * decade, 10 * decade) if step >= few)
    first, last = (max(0.0, min(low, high)), min(100.0, max(low, high)))
    places = range(math.ceil(first / step - 1e-9), math.floor(last / step + 1e-9) + 1)
    return [round(place * step, 9) for place in places]
