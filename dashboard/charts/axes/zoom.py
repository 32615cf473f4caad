"""The part of accuracy against size that is looked at, and the axes of it."""

from collections.abc import Sequence
from typing import Any

from dashboard.charts.axes.accuracy_scale import IN_PERCENT, AccuracyScale
from dashboard.charts.axes.size_axis import SizeAxis
from mlgsearch.records import OBJECTIVES
from mlgsearch.results.charts.axis import scale_of

#: Low and high x as the axis counts (log10 on a log axis), low and high y as heights.
Zoom = tuple[float, float, float, float]

#: A zoom is wider: in less there are no ticks that a number could distinguish.
_NARROWEST = 1e-9


def revision(axis: SizeAxis, scale: AccuracyScale) -> str:
    """Return the name of a chart's axes: a zoom belongs to them."""
    return f"{axis.shown.name}{scale.name}"


def read_zoom(text: str, axis: SizeAxis, scale: AccuracyScale = IN_PERCENT) -> Zoom | None:
    """Read a zoom as an address has it, the name of its axes before its four numbers.

    None for none, for one of other axes, and for what is no zoom.
    """
    name, *parts = text.rsplit("_", 4)
    try:
        left, right, low, high = map(float, parts)
    except ValueError:
        return None
    if name != revision(axis, scale):
        return None
    # Not so for NaN either. A logarithmic axis counts in powers of ten.
    most = 99.0 if axis.shown.is_log10 else 1e15
    is_sane = -99 < left < right < most and -999 < low < high < 999
    is_wide = right - left > _NARROWEST and high - low > _NARROWEST
    return (left, right, low, high) if is_sane and is_wide else None


def front_scales(
    axis: SizeAxis,
    xs: Sequence[float],
    ys: Sequence[float],
    zoom: Zoom | None,
    scale: AccuracyScale = IN_PERCENT,
    title: str = OBJECTIVES["accuracy"].label,
) -> dict[str, Any]:
    """Return the axes ``xaxis`` and ``yaxis`` with room for values and heights, or as zoomed.

    Ticks lie in what is to be seen. The range that is sent is the one the reader made, so plotly is
    made to take it by a new revision.
    """
    if zoom is None:
        x, y = scale_of(axis.shown, xs), scale.axis(ys, title)
        seen_as = "all"
    else:
        left, right = zoom[:2]
        seen = [10.0**left, 10.0**right] if axis.shown.is_log10 else [left, right]
        x = scale_of(axis.shown, [max(seen[0], 1e-300), seen[1]]) | {"range": [left, right]}
        y = scale.seen(*zoom[2:], title)
        seen_as = "_".join(map(str, zoom))
    # Short enough for a narrow page; the ticks say themselves how many times smaller.
    is_log = " (log scale)" if axis.shown.is_log10 else ""
    across = {"text": f"{axis.shown.label}{is_log}", "standoff": 12}
    return {
        "xaxis": x | {"title": across, "uirevision": seen_as},
        "yaxis": y | {"uirevision": seen_as},
    }
