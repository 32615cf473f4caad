"""What became of something from epoch to epoch, as a line of a chart."""

import math
from collections.abc import Sequence
from typing import Any

from dashboard.theme import Trace
from mlgsearch.records import EpochRecord

#: About how many epochs an axis names.
_TICKS = 6


def epoch_axis(epochs: int) -> dict[str, Any]:
    """Return an axis of whole epochs, each named once, with room for so many."""
    return {
        "title": {"text": "epoch", "font": {"size": 12}},
        "range": [0.5, max(1, epochs) + 0.5],
        "dtick": max(1, round(epochs / _TICKS)),
    }


def epoch_line(
    epochs: Sequence[EpochRecord],
    values: Sequence[float],
    *,
    colour: str,
    dash: str,
    unit: str,
    what: str,
    **more: Any,
) -> Trace:
    """Draw a value for each epoch; what is not finite is a gap.

    ``unit`` is a value as d3 writes it, and ``what`` the beginning of the hover, before the epoch.
    """
    return {
        "type": "scatter",
        "x": [epoch.epoch for epoch in epochs],
        # NaN is no JSON; None is a gap.
        "y": [round(value, 5) if math.isfinite(value) else None for value in values],
        "mode": "lines+markers",
        "line": {"width": 2, "color": colour, "dash": dash},
        "hovertemplate": f"{what}epoch %{{x}}: {unit}<extra></extra>",
        **more,
    }
