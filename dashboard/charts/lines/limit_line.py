"""The limit that a student is chosen by, as a line of a chart of accuracy against size."""

import math
from typing import Any, NamedTuple

from dashboard.charts.axes.accuracy_scale import AccuracyScale
from dashboard.charts.axes.size_axis import SizeAxis
from dashboard.theme import Palette
from mlgsearch.results.analysis.choice import KILOBYTE, Limit

#: What follows the number of a limit on a size.
_UNITS = {"max_kb": " KB", "max_ratio": "", "max_ms": " ms"}


class LimitLine(NamedTuple):
    """A line across a chart: at a size as its axis shows it, or else at an accuracy in percent.

    One that is dragged to another value asks for a bound of ``slope`` times it plus ``offset``.
    """

    is_size: bool
    value: float
    words: str
    slope: float = 1.0
    offset: float = 0.0


def limit_line(limit: Limit, axis: SizeAxis, teacher_accuracy: float | None) -> LimitLine | None:
    """Return where a limit lies; None where the chart has no axis for it.

    ``teacher_accuracy`` is a fraction on the part that the chart is of; None where that is not the
    part the limit is about.
    """
    value = limit.value
    if limit.is_on_size:
        if axis.objective != limit.size or value <= 0:
            return None
        unit = axis.unit / KILOBYTE if limit.kind == "max_kb" else 1.0
        return LimitLine(True, value / unit, f"at most {value:g}{_UNITS[limit.kind]}", unit)
    if limit.kind == "at_least":
        return LimitLine(False, value, f"at least {value:g} %")
    if limit.kind == "within" and teacher_accuracy is not None:
        teacher = 100 * teacher_accuracy
        return LimitLine(
            False, teacher - value, f"within {value:g} of the teacher", slope=-1.0, offset=teacher
        )
    return None


def drawn(
    line: LimitLine, axis: SizeAxis, colours: Palette, scale: AccuracyScale
) -> tuple[dict[str, Any], ...]:
    """Return the line as a layout's shape, which can be dragged, and its words as an annotation.

    The shape's name says what study.js needs to make a bound of where it was dragged to.
    """
    value = line.value if line.is_size else scale.height(line.value)
    # Plotly counts an annotation's place on a logarithmic axis in powers of ten, a shape's not.
    is_log = line.is_size and axis.shown.is_log10
    place = math.log10(value) if is_log else value
    along, across = ("x", "y") if line.is_size else ("y", "x")
    teacher = scale.teacher if scale.teacher is not None and not line.is_size else "percent"
    shape = {
        "type": "line",
        "name": f"limit {along} {teacher} {line.slope} {line.offset}",
        f"{along}0": value,
        f"{along}1": value,
        f"{across}ref": f"{across} domain",
        f"{across}0": 0,
        f"{across}1": 1,
        "line": {"dash": "dashdot", "width": 1.5, "color": colours.pruned},
    }
    words = {
        "text": line.words,
        along: place,
        f"{across}ref": f"{across} domain",
        across: 0 if line.is_size else 1,
        "xanchor": "left" if line.is_size else "right",
        "yanchor": "bottom",
        "xshift": 4 if line.is_size else -6,
        "showarrow": False,
        "font": {"color": colours.pruned},
    }
    return shape, words
