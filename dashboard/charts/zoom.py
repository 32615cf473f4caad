"""The part of accuracy against size that is looked at, and the axes of it."""

from collections.abc import Sequence
from typing import Any

from dashboard.charts.size_axis import SizeAxis
from mlgsearch.records import OBJECTIVES
from mlgsearch.results.charts.axis import scale_of

#: Low and high x as the axis counts (log10 on a log axis), low and high y in percent.
Zoom = tuple[float, float, float, float]

#: A zoom is wider: in less there are no ticks that a number could tell apart.
_NARROWEST = 1e-9


def read_zoom(text: str, axis: SizeAxis) -> Zoom | None:
    """Read a zoom as an address has it, the axis's name before its four numbers.

    None for none, for one of another axis, and for what is no zoom.
    """
    name, *parts = text.rsplit("_", 4)
    try:
        left, right, low, high = map(float, parts)
    except ValueError:
        return None
    if name != axis.shown.name:
        return None
    # Not so for NaN either. A logarithmic axis counts in powers of ten.
    most = 99.0 if axis.shown.is_log10 else 1e15
    is_sane = -99 < left < right < most and -999 < low < high < 999
    is_wide = right - left > _NARROWEST and high - low > _NARROWEST
    return (left, right, low, high) if is_sane and is_wide else None


def front_scales(
    axis: SizeAxis, xs: Sequence[float], ys: Sequence[float], zoom: Zoom | None
) -> dict[str, Any]:
    """Return the axes ``xaxis`` and ``yaxis`` with room for some values, or as zoomed.

    Ticks lie in what is to be seen. The range that is sent is the one the reader made, so plotly is
    told by a new revision to take it.
    """
    if zoom is None:
        x, y = scale_of(axis.shown, xs), scale_of(_ACCURACY, ys)
        revision = "all"
    else:
        left, right = zoom[:2]
        seen = [10.0**left, 10.0**right] if axis.shown.is_log10 else [left, right]
        x = scale_of(axis.shown, [max(seen[0], 1e-300), seen[1]]) | {"range": [left, right]}
        y = scale_of(_ACCURACY, zoom[2:]) | {"range": list(zoom[2:])}
        revision = "_".join(map(str, zoom))
    # Short enough for a narrow page; the ticks say themselves how many times smaller.
    scale = " (log scale)" if axis.shown.is_log10 else ""
    title = {"text": f"{axis.shown.label}{scale}", "standoff": 12}
    return {
        "xaxis": x | {"title": title, "uirevision": revision},
        "yaxis": y | {"uirevision": revision},
    }


_ACCURACY = OBJECTIVES["accuracy"]
