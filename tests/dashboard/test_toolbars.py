"""What plotly's toolbars offer, in a real browser: nothing of it leaves the host."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import plotly.graph_objects as go
import pytest
from playwright.sync_api import Browser, Page, expect

from mlgsearch.cli.printing.figures import study_chart, write_figure
from mlgsearch.records import PlannedStudent
from mlgsearch.results.analysis.uncertainty.verification import verified_points
from mlgsearch.results.charts.plan import LayerBar, layers_chart, plan_chart
from mlgsearch.results.charts.verified import verified_chart
from tests.dashboard.conftest import Fill
from tests.dashboard.serving import Visit
from tests.dashboard.test_every_page import PAGES, deep_and_uniform, opened
from tests.results.samples import a_complete, a_study, a_verification

ROOT = Path(__file__).parents[2]
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


@pytest.fixture(scope="module")
def fill() -> Fill:
    return deep_and_uniform


@pytest.mark.parametrize("address", [address for address, charts in PAGES.items() if charts])
def test_charts_of_a_page_can_be_zoomed_and_nothing_is_sent(visit: Visit, address: str) -> None:
    toolbars = opened(visit, address).evaluate(_TOOLBARS)
    assert len(toolbars) == PAGES[address]
    for toolbar in toolbars:
        selects = SELECTS if toolbar["id"] == "study-chart" else []
        zooms = ["Zoom", "Pan", *selects, *ZOOMS]
        assert toolbar["buttons"] == (zooms if toolbar["zoomable"] else [])
        assert toolbar["server"] == ""


def searched() -> go.Figure:
    return study_chart(a_study(), [a_complete(0, 0.9, 0.1), a_complete(1, 0.8, 0.01)])


def verified() -> go.Figure:
    objectives = ("accuracy", "memory_ratio")
    points = verified_points([a_complete(0, 0.9, 0.1)], [a_verification()], objectives)
    return verified_chart(points, objectives, title="verified")


def planned() -> go.Figure:
    return plan_chart([PlannedStudent(9_000, 0.1, 0.2), PlannedStudent(5_000, 0.05, 0.4)], "plan")


def layers() -> go.Figure:
    return layers_chart([LayerBar("stem", 1.5, 0.2, "note")], "layers", "what", "axis")


@pytest.fixture
def file_page(browser: Browser) -> Iterator[Page]:
    """Page of a browser for files; at the end it must have asked for nothing else."""
    context = browser.new_context()
    page, asked = context.new_page(), list[str]()
    page.on("request", lambda request: asked.append(request.url))
    yield page
    context.close()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []


# What `front --format html` and a finished search write, `front --verified`, `plan`, `sensitivity`.
@pytest.mark.parametrize("draw", [searched, verified, planned, layers])
def test_charts_of_a_file_can_be_zoomed_and_saved_and_nothing_else(
    file_page: Page, tmp_path: Path, draw: Callable[[], go.Figure]
) -> None:
    path = tmp_path / "chart.html"
    write_figure(draw(), path)
    file_page.goto(path.as_uri())
    expect(file_page.locator(".modebar-btn").first).to_be_attached()
    buttons = ["Download plot as a PNG", "Zoom", "Pan", "Box Select", "Lasso Select", *ZOOMS]
    (toolbar,) = file_page.evaluate(_TOOLBARS)
    assert toolbar["buttons"] == [*buttons, "Reset axes"]
    assert (toolbar["zoomable"], toolbar["server"]) == (True, "")


def test_one_place_writes_html_files_and_one_places_charts_on_pages() -> None:
    """So what the tests above see holds for every chart."""
    calls = {
        (path.relative_to(ROOT).as_posix(), name)
        for room in ("mlgsearch", "dashboard", "benchmarks")
        for path in (ROOT / room).rglob("*.py")
        for name in _called(path)
    }
    assert calls == {
        ("mlgsearch/results/charts/pareto.py", "to_html"),
        ("dashboard/parts/chart.py", "Graph"),
    }
    scripts = "".join(path.read_text() for path in (ROOT / "dashboard" / "assets").glob("*.js"))
    assert not re.search(r"sendChartToCloud|plotlyServerURL|newPlot", scripts)


def _called(path: Path) -> set[str]:
    """Return which of the names that make a plotly chart in HTML a file calls."""
    makers = {"to_html", "Graph", "iplot", "FigureWidget", "write_image"}
    return makers & {
        node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
    }
