"""Marks of a chart in the browser: where they are, and what the chart looks at."""

from typing import Any

from playwright.sync_api import Page

_PLACE = """([chart, number]) => {
  const graph = document.querySelector(`#${chart} .js-plotly-plot`);
  const { xaxis, yaxis } = graph._fullLayout;
  const { left, top } = graph.getBoundingClientRect();
  for (const { customdata, x, y } of graph._fullData) {
    const at = (customdata || []).findIndex((mark) => mark && mark[0] === number);
    if (at >= 0) {
      return [left + xaxis._offset + xaxis.d2p(x[at]), top + yaxis._offset + yaxis.d2p(y[at])];
    }
  }
}"""
_RANGES = """(chart) => {
  const { xaxis, yaxis } = document.querySelector(`#${chart} .js-plotly-plot`)._fullLayout;
  return [...xaxis.range, ...yaxis.range];
}"""
_NAMES = """(chart) => document.querySelector(`#${chart} .js-plotly-plot`)._fullData
  .filter(({ showlegend }) => showlegend).map(({ name }) => name)"""


def click_trial(page: Page, chart: str, number: int) -> None:
    """Click a trial's mark."""
    page.locator(f"#{chart}").scroll_into_view_if_needed()
    x, y = page.evaluate(_PLACE, [chart, number])
    page.mouse.move(x - 1, y)
    page.mouse.move(x, y)
    page.wait_for_selector(f"#{chart} .hoverlayer .hovertext")
    page.mouse.click(x, y)


def zoom_in(page: Page, chart: str) -> list[float]:
    """Drag over the middle of a chart; return the ranges of its axes afterwards."""
    page.locator(f"#{chart}").scroll_into_view_if_needed()
    plot = page.locator(f"#{chart} .nsewdrag").first.bounding_box()
    assert plot is not None
    left, top = plot["x"] + plot["width"] * 0.3, plot["y"] + plot["height"] * 0.1
    page.mouse.move(left, top)
    page.mouse.down()
    page.mouse.move(left + plot["width"] * 0.3, top + plot["height"] * 0.5, steps=3)
    page.mouse.up()
    page.wait_for_url("**zoom=**")
    return ranges(page, chart)


def ranges(page: Page, chart: str) -> list[float]:
    """Return low and high of the axis to the right, then of the one upwards."""
    found: list[float] = page.evaluate(_RANGES, chart)
    return found


def legend(page: Page, chart: str) -> list[str]:
    """Return the names in a chart's legend."""
    found: list[Any] = page.evaluate(_NAMES, chart)
    return [str(name) for name in found]
