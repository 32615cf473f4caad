"""The height of an accuracy in a chart: by its percents, or by what the teacher is ahead."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from mlgsearch.records import OBJECTIVES
from mlgsearch.results.analysis.trial_columns import Floats
from mlgsearch.results.charts.axis import log_ticks, scale_of

#: Points below the teacher that a chart tells apart where it has no trial.
_LEAST = 1.0

#: The teacher is drawn above the best student as if it were ahead by half of what it is.
_AHEAD = 0.5


@dataclass(frozen=True)
class AccuracyScale:
    """Heights of accuracies, both upwards.

    Without a ``teacher`` (an accuracy in percent) a height is the accuracy in percent. With one it
    is minus the logarithm of the points below the teacher: from 1 point to 2 is as far as from 10
    to 20. Who is less than ``least`` points below, or above, is drawn as high as who is just that.
    """

    teacher: float | None = None
    least: float = _LEAST

    @classmethod
    def below(cls, teacher: float, percents: Floats, image: float) -> Self:
        """Return the scale of points below a teacher for accuracies in percent, shape (n,).

        ``image`` is what one image is in points: less is no difference that could be seen.
        """
        lost = teacher - percents[np.isfinite(percents)]
        lost = lost[lost > 0]
        least = _AHEAD * float(lost.min()) if len(lost) else _LEAST
        return cls(teacher, max(least, image, 1e-6))

    @property
    def is_log(self) -> bool:
        """Whether heights are logarithms."""
        return self.teacher is not None

    @property
    def name(self) -> str:
        """What follows an axis's name where a zoom says which heights it is of."""
        return "-below" if self.is_log else ""

    def heights(self, percents: Floats) -> Floats:
        """Return the heights of accuracies in percent, NaN where they are not known."""
        if self.teacher is None:
            return percents
        return -np.log10(np.maximum(self.teacher - percents, self.least))

    def height(self, percent: float) -> float:
        """Return the height of one accuracy."""
        return float(self.heights(np.array([percent]))[0])

    def axis(self, heights: Sequence[float], title: str) -> dict[str, Any]:
        """Return plotly's settings of the axis that has room for some heights."""
        if self.teacher is None:
            return scale_of(OBJECTIVES["accuracy"], heights) | {"title": _titled(title)}
        low, high = (min(heights), max(heights)) if heights else (-2.0, 0.0)
        air = max(0.06 * (high - low), 0.05)
        return self.seen(low - air, high + air, title)

    def seen(self, low: float, high: float, title: str) -> dict[str, Any]:
        """Return the settings of the axis between two heights."""
        if self.teacher is None:
            whole = scale_of(OBJECTIVES["accuracy"], (low, high))
            return whole | {"range": [low, high], "title": _titled(title)}
        # None at the teacher's own height: its line is there, and says so.
        best = self.height(self.teacher)
        near = 0.04 * (high - low)
        ticks = {-math.log10(points): f"{points:g}" for points in self._ticks(low, high)}
        ticks = {at: words for at, words in ticks.items() if abs(at - best) > near}
        return {
            "range": [low, high],
            "tickvals": list(ticks),
            "ticktext": list(ticks.values()),
            "title": _titled("points below the teacher (log scale)"),
        }

    def _ticks(self, low: float, high: float) -> list[float]:
        """Return round points below the teacher between two heights, the more the closer."""
        points = log_ticks(-high, -low)
        return [one for one in points if one >= self.least]


#: Heights that are percents.
IN_PERCENT = AccuracyScale()


def _titled(title: str) -> dict[str, Any]:
    return {"text": title, "standoff": 12}
