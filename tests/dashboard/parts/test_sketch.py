"""The sketch of a chart stands for it before plotly has run: the same marks in the same places."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from playwright.sync_api import expect

from dashboard.charts.density import density
from dashboard.parts.sketch import sketch
from dashboard.theme import Figure, Trace, dress
from tests.dashboard.serving import Visit

#: Places of marks in pixels from the window's corner.
_PLACES = """(selector) => [...document.querySelectorAll(selector)].map((mark) => {
  const box = mark.getBoundingClientRect();
  return [box.x + box.width / 2, box.y + box.height / 2];
})"""

_MARGINS = """() => {
  const { t, r, b, l } = document.querySelector("#study-chart .js-plotly-plot")._fullLayout._size;
  return `${t} ${r} ${b} ${l}`;
}"""


def a_figure(*traces: Trace | go.Scatter, **layout: Any) -> Figure:
    """Return a figure over 0.01 to 1 on a log axis and 0 to 100 percent."""
    figure = go.Figure(traces)
    figure.update_layout(
        {
            "xaxis": {
                "type": "log",
                "range": [-2, 0],
                "tickvals": [0.1],
                "ticktext": ["0.1<br>x10"],
            },
            "yaxis": {"range": [0, 100], "ticksuffix": " %"},
            "margin": {"l": 80, "r": 20, "t": 40, "b": 70},
            **layout,
        }
    )
    plain: Figure = dress(figure, "light").to_plotly_json()
    return plain


def elements(node: Any, tag: str) -> Iterator[tuple[dict[str, Any], list[Any]]]:
    """Return the attributes and children of all elements of a name."""
    if isinstance(node, list):
        name, attributes, children = node
        if name == tag:
            yield attributes, children
        for child in children:
            yield from elements(child, tag)


def paths(figure: Figure, colour: str) -> list[dict[str, Any]]:
    """Return what is drawn in a colour."""
    (drawn,) = sketch(figure).nodes
    return [
        path for path, _ in elements(drawn, "path") if colour in (path.get("stroke"), path["fill"])
    ]


def test_marks_lie_where_their_axes_say() -> None:
    trace = go.Scatter(
        x=[0.01, 0.1, 1], y=[0, 50, 100], mode="markers", marker={"color": "#123456", "size": 9}
    )
    (dots,) = paths(a_figure(trace), "#123456")
    assert dots["d"] == "M0.0 1000.0h0M500.0 500.0h0M1000.0 0.0h0"
    assert (dots["strokeWidth"], dots["strokeLinecap"]) == (9, "round")


def test_lines_go_straight_or_by_steps() -> None:
    line = {"color": "#123456", "dash": "dot", "width": 1.5}
    places: dict[str, Any] = {"x": [0.01, 0.1], "y": [0, 50], "mode": "lines"}
    (straight,) = paths(a_figure(go.Scatter(**places, line=line)), "#123456")
    (steps,) = paths(a_figure(go.Scatter(**places, line=line | {"shape": "hv"})), "#123456")
    assert straight["d"] == "M0.0 1000.0L500.0 500.0"
    assert steps["d"] == "M0.0 1000.0H500.0V500.0"
    assert (straight["strokeWidth"], straight["strokeDasharray"]) == (1.5, "3 3")


def test_each_mark_has_its_own_colour_and_what_is_open_a_hole() -> None:
    marker = {"symbol": "circle-open", "size": 18, "color": ["#111111", "#222222"]}
    rings = go.Scatter(x=[0.1, 1], y=[50, 50], mode="markers", marker=marker | {"line_width": 2})
    marks = go.Scatter(x=[0.1], y=[50], mode="markers", marker={"color": "#333333"})
    (drawn,) = sketch(a_figure(marks, rings)).nodes
    order = [path["stroke"] for path, _ in elements(drawn, "path") if "strokeLinecap" in path]
    # The holes are the paper's, and beneath the marks that they surround.
    assert order == ["#111111", "#FFFFFF", "#222222", "#FFFFFF", "#333333"]


def test_cells_of_an_image_have_the_colour_of_their_count() -> None:
    x, y = np.array([0.01, 1.0, 1.0, 1.0]), np.array([0.0, 100.0, 100.0, 100.0])
    image = density(x, y, colours=("#000001", "#000006"), name="x", is_log_x=True)
    figure = a_figure(image)
    (few,), (many,) = paths(figure, "#000001"), paths(figure, "#000006")
    assert (few["d"].count("z"), many["d"].count("z")) == (1, 1)


def test_ticks_are_written() -> None:
    (drawn,) = sketch(a_figure()).nodes
    words = [text for _, (text,) in elements(drawn, "text")]
    assert words[:2] == ["0.1", "x10"]
    assert words[2:] == [f"{value} %" for value in range(0, 101, 10)]


def test_a_tick_is_written_within_the_axis_only_and_as_plotly_writes_it() -> None:
    ticks = {"tickvals": [500, 20_000, 1e6, 2e6], "tickformat": "~s"}
    figure = a_figure(xaxis={"type": "log", "range": [3, 6.1], **ticks})
    (drawn,) = sketch(figure).nodes
    assert [text for _, (text,) in elements(drawn, "text")][:3] == ["20k", "1M", "0 %"]


def test_a_mark_on_another_axis_lies_by_it() -> None:
    trace = go.Scatter(x=[0.1], y=[0.25], yaxis="y2", mode="markers", marker={"color": "#123456"})
    figure = a_figure(trace, yaxis2={"overlaying": "y", "range": [0, 1]})
    (dot,) = paths(figure, "#123456")
    assert dot["d"] == "M500.0 750.0h0"


def test_a_line_across_is_drawn() -> None:
    line = {"color": "#123456", "dash": "dash", "width": 1.5}
    figure = a_figure(
        shapes=[{"xref": "x domain", "x0": 0, "x1": 1, "y0": 25, "y1": 25} | {"line": line}]
    )
    (across,) = paths(figure, "#123456")
    assert across["d"] == "M0 750.0h1000"


@pytest.mark.parametrize("size", ["memory_ratio", "packed_kb"])
def test_the_front_is_seen_before_plotly_and_in_its_places(visit: Visit, size: str) -> None:
    page, held = visit.page, visit.hold("**/plotly.min.js")
    page.goto(f"{visit.base}/study?name=digits&size={size}", wait_until="commit")
    expect(page.locator("#study-facts")).to_contain_text("hypervolume")
    shown = page.locator(".sketch")
    expect(shown).to_be_visible()
    front = page.evaluate(
        """() => {
          const dots = [...document.querySelectorAll(".sketch path[stroke-linecap]")].at(-1);
          const box = dots.ownerSVGElement.getBoundingClientRect();
          return dots.getAttribute("d").split("M").slice(1).map((place) => {
            const [x, y] = place.split(/[ h]/).map(Number);
            return [box.x + (box.width * x) / 1000, box.y + (box.height * y) / 1000];
          });
        }"""
    )
    assert len(held) == 1
    held.pop().continue_()
    page.wait_for_selector("#study-chart .main-svg .legend")
    expect(shown).to_be_hidden()
    drawn = page.evaluate(_PLACES, "#study-chart .scatterlayer .point")
    assert len(front) > 3
    # Of the margins plotly has changed none.
    assert page.evaluate(_MARGINS) == "48 24 77 84"
    for place in front:
        assert min(np.hypot(*(np.array(drawn) - place).T)) < 6
