"""An axis of the chart: its range, its ticks, its title."""

import math
from collections.abc import Sequence
from typing import Any

from mlgsearch.records import Objective
from mlgsearch.words import TIMES


def axis_of(objective: Objective, values: Sequence[float]) -> dict[str, Any]:
    """Return plotly's settings of the axis for ``values``, as ``scale_of``, with its lines."""
    return {
        "gridcolor": "#E6E6E6",
        "linecolor": "#999999",
        "showline": True,
        "ticks": "outside",
        "tickcolor": "#999999",
        "zeroline": False,
        **scale_of(objective, values),
    }


def scale_of(objective: Objective, values: Sequence[float]) -> dict[str, Any]:
    """Return the title, range and ticks of the axis that shows ``values``; accuracies in percent.

    A ratio is on a log scale, with ticks that also say how many times smaller it makes things.
    """
    axis: dict[str, Any] = {"title": {"text": _title(objective), "standoff": 12}}
    if objective.is_log10:
        low, high = _range([math.log10(value) for value in values], 0.3, empty=(-2.0, 0.0))
        ticks = log_ticks(low, high)
        axis |= {"type": "log", "range": [low, high], "tickvals": ticks, "tickformat": "~s"}
        if _is_ratio(objective):
            axis["ticktext"] = [f"{tick:g}<br>{TIMES}{1 / tick:.3g}" for tick in ticks]
    elif objective.name == "accuracy":
        axis |= {"range": list(_range(values, 1.0, empty=(0.0, 100.0))), "ticksuffix": " %"}
    else:
        axis["range"] = list(_range(values, 0.01, empty=(0.0, 1.0)))
    return axis


def _range(
    values: Sequence[float], narrowest: float, *, empty: tuple[float, float]
) -> tuple[float, float]:
    """Leave some air on both sides of the values, and a width that is not nothing."""
    if not values:
        return empty
    low, high = min(values), max(values)
    air = max(0.06 * (high - low), (narrowest - (high - low)) / 2)
    return low - air, high + air


def log_ticks(low: float, high: float) -> list[float]:
    """Return round values between 10**low and 10**high, the fewer per decade the more decades."""
    mantissas = [1.0] if high - low > 3 else [1.0, 2.0, 5.0]
    if high - low < 0.7:
        mantissas = [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]
    decades = range(math.floor(low), math.ceil(high) + 1)
    ticks = [float(f"{mantissa}e{decade}") for decade in decades for mantissa in mantissas]
    return [tick for tick in ticks if low <= math.log10(tick) <= high]


def _is_ratio(objective: Objective) -> bool:
    return objective.name.endswith("_ratio")


def _title(objective: Objective) -> str:
    if _is_ratio(objective):
        return f"{objective.label}, and how many times smaller (log scale)"
    return f"{objective.label} (log scale)" if objective.is_log10 else objective.label
