"""What plotly's toolbars offer on a page."""

from typing import Any

from playwright.sync_api import Page

#: A page's charts have no camera, for a page has buttons of its own to save pictures.
ZOOMS = ["Zoom in", "Zoom out", "Autoscale"]
#: Where trials are selected.
SELECTS = ["Box Select", "Lasso Select"]
#: Of each chart: its buttons' titles, whether it can be zoomed, and where its data would be sent.
_TOOLBARS = """() => [...document.querySelectorAll(".js-plotly-plot")].map((chart) => ({
  buttons: [...chart.querySelectorAll(".modebar-btn")].map((button) =>
    button.dataset.title || button.getAttribute("aria-label") || button.title),
  zoomable: Object.entries(chart._fullLayout)
    .some(([name, part]) => /^[xy]axis\\d*$/.test(name) && !part.fixedrange),
  server: chart._context.plotlyServerURL,
  id: chart.parentElement.id,
}))"""


def toolbars(page: Page) -> list[dict[str, Any]]:
    """Return what is to be known of each chart's toolbar."""
    found: list[dict[str, Any]] = page.evaluate(_TOOLBARS)
    return found
