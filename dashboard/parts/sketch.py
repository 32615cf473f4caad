"""A chart as the browser can show it before it has read plotly: drawn here, as SVG.

Plotly is five megabytes, which a slow machine runs for a second before the first mark. Till then
the page shows the same marks, lines and ticks in the same places; hovers, legend and selection come
with plotly, and the style sheet then hides the sketch.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from dashboard.parts.markup import Markup, Node
from dashboard.theme import Figure

#: The plot's sides in units of the drawing; it is stretched to the chart, lines and dots are not.
_SIDE = 1000

#: Of thousand, million and so on.
_PREFIXES = "kMGTPEZY"

_SVG = {"aria-hidden": "true", "width": "100%", "height": "100%"}


def sketch(figure: Figure) -> Markup:
    """Draw the traces of kinds scatter and heatmap, lines across, and the axes ``x`` and ``y``.

    Args:
        figure: with `theme.template` as its template; its axes have ranges, and it has margins.
    """
    layout = figure["layout"]
    base = layout["template"]["layout"]
    axes = {name: _Axis(layout[name]) for name in layout if name[1:].startswith("axis")}
    x, y = axes["xaxis"], axes["yaxis"]
    drawn: list[Node] = [_path(_grid(x, y), base["xaxis"]["gridcolor"], 1)]
    # What is open is made by a hole in it, which must not hide what it surrounds.
    for trace in sorted(
        figure["data"], key=lambda trace: _is_open(trace.get("marker", {})), reverse=True
    ):
        up = axes[f"yaxis{trace.get('yaxis', 'y')[1:]}"]
        is_image = trace["type"] == "heatmap"
        drawn += (
            _heatmap(trace, x, up) if is_image else _scatter(trace, x, up, base["paper_bgcolor"])
        )
    for shape in layout.get("shapes", ()):
        if shape.get("xref") == "x domain":
            drawn.append(_path(f"M0 {y.down(shape['y0'])}h{_SIDE}", **_stroke(shape["line"])))
    drawn.append(_path(f"M0 0v{_SIDE}h{_SIDE}", base["xaxis"]["linecolor"], 1))
    box = {"viewBox": f"0 0 {_SIDE} {_SIDE}", "preserveAspectRatio": "none"}
    return Markup(
        [
            [
                "div",
                {"className": "sketch", "style": {"inset": _inset(layout["margin"])}},
                [["svg", _SVG | box, drawn], ["svg", _SVG, [*_words(x, y, base["font"])]]],
            ]
        ]
    )


class _Axis:
    """Where values lie along an axis that ``settings`` describe to plotly."""

    def __init__(self, settings: Mapping[str, Any]):
        self.settings = settings
        self._is_log = settings.get("type") == "log"
        self._low, self._high = settings["range"]

    def right(self, values: Any) -> Any:
        """Return places from the left, in units of the drawing."""
        known = np.asarray(values, dtype=np.float64)
        places = np.log10(known) if self._is_log else known
        return np.round(_SIDE * (places - self._low) / (self._high - self._low), 1)

    def down(self, values: Any) -> Any:
        """Return places from above."""
        return np.round(_SIDE - self.right(values), 1)

    def ticks(self) -> Iterator[tuple[float, list[str]]]:
        """Yield values within the axis with the lines that are written at them."""
        values = self.settings.get("tickvals")
        if values is None:
            values = round_values(self._low, self._high)
        words = self.settings.get("ticktext", map(self._write, values))
        for value, text in zip(values, words, strict=True):
            if 0 <= self.right(value) <= _SIDE:
                yield value, text.split("<br>")

    def _write(self, value: float) -> str:
        """Write a value as ``tickformat`` has it: "~s" of d3 is 20k for 20,000."""
        prefix = ""
        if self.settings.get("tickformat") == "~s" and value >= 1000:
            power = min(math.floor(math.log10(value) + 1e-9) // 3, len(_PREFIXES))
            value, prefix = value / 1000**power, _PREFIXES[power - 1]
        return f"{value:g}{prefix}{self.settings.get('ticksuffix', '')}"


def round_values(low: float, high: float, *, most: int = 10) -> list[float]:
    """Return at most so many and one round values of a range, as plotly chooses them for 10."""
    rough = (high - low) / most
    power: float = 10 ** math.floor(math.log10(rough))
    step = next(step * power for step in (1, 2, 5, 10) if step * power >= rough)
    return [step * place for place in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _grid(x: _Axis, y: _Axis) -> str:
    across = "".join(f"M{x.right(value)} 0v{_SIDE}" for value, _ in x.ticks())
    return across + "".join(f"M0 {y.down(value)}h{_SIDE}" for value, _ in y.ticks())


def _heatmap(trace: Mapping[str, Any], x: _Axis, y: _Axis) -> Iterator[Node]:
    """Draw the cells of a count or more, those of one colour together."""
    counts = np.array([[cell or 0 for cell in row] for row in trace["z"]])  # (up, across)
    left, foot = x.right(trace["x"]), y.down(trace["y"])
    shares = (counts - trace["zmin"]) / (trace["zmax"] - trace["zmin"])
    stops = [place for place, _ in trace["colorscale"]]
    of_colour = np.searchsorted(stops, shares, side="right") - 1
    for place, (_, colour) in enumerate(trace["colorscale"]):
        cells = np.argwhere((of_colour == place) & (counts > 0))
        path = "".join(
            f"M{left[j]} {foot[i]}H{left[j + 1]}V{foot[i + 1]}H{left[j]}z"
            for i, j in cells.tolist()
        )
        yield ["path", {"d": path, "fill": colour}, []]


def _scatter(trace: Mapping[str, Any], x: _Axis, y: _Axis, paper: str) -> Iterator[Node]:
    """Draw a line as steps or straight, marks as dots or rings of their size and colour."""
    across, down = x.right(trace["x"]), y.down(trace["y"])
    is_there = np.isfinite(across) & np.isfinite(down)
    places = list(zip(across[is_there].tolist(), down[is_there].tolist(), strict=True))
    if not places:
        return
    mode = trace["mode"]
    if "lines" in mode:
        line = trace["line"]
        step = "H{0}V{1}" if line.get("shape") == "hv" else "L{0} {1}"
        path = "M{} {}".format(*places[0]) + "".join(step.format(*place) for place in places[1:])
        yield _path(path, **_stroke(line))
    if "markers" in mode:
        yield from _dots(places, trace["marker"], paper)


def _dots(
    places: Sequence[tuple[float, float]], marker: Mapping[str, Any], paper: str
) -> Iterator[Node]:
    """Draw marks as lines of no length with round ends: whatever they are stretched to, dots."""
    given, size, edge = marker.get("color"), marker.get("size", 6), marker.get("line", {})
    colours = given if isinstance(given, tuple | list) else [given or edge["color"]] * len(places)
    for colour in dict.fromkeys(colours):
        dots = zip(places, colours, strict=True)
        path = "".join(f"M{across} {down}h0" for (across, down), own in dots if own == colour)
        yield _path(path, colour, size, round_ends=True)
        if _is_open(marker):
            yield _path(path, paper, size - 2 * edge.get("width", 1), round_ends=True)


def _is_open(marker: Mapping[str, Any]) -> bool:
    return str(marker.get("symbol", "")).endswith("-open")


def _stroke(line: Mapping[str, Any]) -> dict[str, Any]:
    dash = {"dash": "9 9", "dot": "3 3"}.get(line.get("dash", ""))
    return {"colour": line["color"], "width": line.get("width", 2), "dash": dash}


def _path(
    path: str, colour: str, width: float, *, dash: str | None = None, round_ends: bool = False
) -> Node:
    look = {"fill": "none", "stroke": colour, "strokeWidth": width, "d": path}
    look |= {"strokeDasharray": dash} if dash else {}
    look |= {"strokeLinecap": "round"} if round_ends else {}
    return ["path", look | {"vectorEffect": "non-scaling-stroke"}, []]


def _words(x: _Axis, y: _Axis, font: Mapping[str, Any]) -> Iterator[Node]:
    """Write at the ticks; what the axes show is plotly's to write."""
    look = {"fill": font["color"], "fontSize": font["size"]}
    for value, lines in x.ticks():
        place = look | {"x": _percent(x.right(value)), "textAnchor": "middle"}
        for row, line in enumerate(lines):
            yield ["text", place | {"y": "100%", "dy": 22 + 17 * row}, [line]]
    for value, lines in y.ticks():
        place = look | {"y": _percent(y.down(value)), "textAnchor": "end"}
        yield ["text", place | {"x": 0, "dx": -8, "dy": 5}, [" ".join(lines)]]


def _percent(place: float) -> str:
    return f"{100 * place / _SIDE:.2f}%"


def _inset(margin: Mapping[str, int]) -> str:
    return " ".join(f"{margin[side]}px" for side in "trbl")
