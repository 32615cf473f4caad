"""The planned front below a study's trials: predicted damage has a strip of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from dashboard.charts.axes.size_axis import SizeAxis
from dashboard.theme import Palette, Trace
from mlgsearch.records import PlannedStudent

#: Shares of the chart's height: the strip at its foot, and what the trials have above it.
_STRIP, _TRIALS = (0.0, 0.2), (0.3, 1.0)


@dataclass(frozen=True)
class PlannedLine:
    """A planned front over the sizes that a chart has to the right.

    A plan predicts damage, not accuracy; so it has a strip at the chart's foot, where damage is in
    percent and upwards. The trials keep the part above it.
    """

    points: Sequence[PlannedStudent]
    axis: SizeAxis

    @classmethod
    def of(cls, points: Sequence[PlannedStudent], axis: SizeAxis) -> Self | None:
        """Return the line; None where nothing is planned, or no size is known on the axis."""
        if not points or axis.objective not in ("memory_ratio", "packed_bytes"):
            return None
        return cls(points, axis)

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
            "cliponaxis": False,
            "line": {"width": 1.5, "dash": "dot", "color": colours.planned},
            "marker": {"symbol": "square-open", "size": 6, "color": colours.planned},
            "name": f"planned ({len(self.points)})",
        }

    def settings(self) -> dict[str, dict[str, Any]]:
        """Return what the strip adds to the settings of the chart's axes, and its own ``y3``."""
        most = 100 * max(point.damage for point in self.points)
        return {
            "xaxis": {"anchor": "y3"},
            "yaxis": {"domain": list(_TRIALS)},
            "yaxis2": {"domain": list(_TRIALS)},
            "yaxis3": {
                "domain": list(_STRIP),
                "anchor": "x",
                "range": [0, 1.1 * most or 1.0],
                "fixedrange": True,
                "ticksuffix": " %",
                "nticks": 3,
            },
        }

    def title(self, colours: Palette) -> dict[str, Any]:
        """Return the strip's title as a layout's annotation, between it and the trials."""
        return {
            "text": "predicted damage of the plan",
            "xref": "x domain",
            "x": 0,
            "xanchor": "left",
            "yref": "y3 domain",
            "y": 1,
            "yanchor": "bottom",
            "showarrow": False,
            "font": {"color": colours.planned},
        }
