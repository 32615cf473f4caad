"""The teacher's accuracy in a chart of accuracies."""

from typing import Any, Literal

from dashboard.charts.axes.accuracy_scale import IN_PERCENT, AccuracyScale
from dashboard.theme import Palette

#: In pixels, how far a mark's ring reaches.
_OVER_RINGS = 11


def teacher_line(
    accuracy: float | None,
    colours: Palette,
    side: Literal["left", "right"],
    scale: AccuracyScale = IN_PERCENT,
    *,
    is_lifted: bool = False,
) -> dict[str, Any]:
    """Return a layout's line at the teacher's accuracy, a fraction.

    Its words are at the side where few marks come near it, and over their rings where it
    ``is_lifted``. Without an accuracy there is none.
    """
    if accuracy is None:
        return {}
    percent = 100 * accuracy
    height = scale.height(percent)
    line = {
        "type": "line",
        "layer": "below",  # where it is out of the pointer's way
        "xref": "x domain",
        "x0": 0,
        "x1": 1,
        "y0": height,
        "y1": height,
        "line": {"dash": "dash", "width": 1.5, "color": colours.ink},
    }
    words = {
        "text": f"teacher {percent:.2f} %",
        "xref": "x domain",
        "x": 0 if side == "left" else 1,
        "xanchor": side,
        "xshift": 6 if side == "left" else -6,
        "y": height,
        "yanchor": "bottom",
        "yshift": _OVER_RINGS if is_lifted else 0,
        "showarrow": False,
        "font": {"color": colours.ink},
    }
    return {"shapes": [line], "annotations": [words]}
