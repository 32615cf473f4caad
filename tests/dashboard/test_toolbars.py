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
from tests.dashboard.toolbars import ZOOMS, toolbars
from tests.results.samples import a_complete, a_study, a_verification

ROOT = Path(__file__).parents[2]


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
    (toolbar,) = toolbars(file_page)
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
        ("dashboard/parts/table.py", "show"),  # a column's, of a cell
    }
    scripts = "".join(path.read_text() for path in (ROOT / "dashboard" / "assets").glob("*.js"))
    assert not re.search(r"sendChartToCloud|plotlyServerURL|newPlot", scripts)


@pytest.mark.parametrize(
    "line",
    [
        "figure.write_html('a.html')",
        "figure.show()",
        "plotly.offline.plot(figure)",
        "pio.show(figure)",
        "to_html(figure)",
        "dcc.Graph()",
    ],
)
def test_none_of_the_ways_to_write_a_chart_is_missed(tmp_path: Path, line: str) -> None:
    path = tmp_path / "a.py"
    path.write_text(line)
    assert len(_called(path)) == 1


def _called(path: Path) -> set[str]:
    """Return which of the names that make a plotly chart in HTML a file calls."""
    makers = {"to_html", "Graph", "iplot", "FigureWidget", "write_image"}
    methods = {"write_html", "show", "plot"}
    calls = [
        node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)
    ]
    attributes = {call.attr for call in calls if isinstance(call, ast.Attribute)}
    names = {call.id for call in calls if isinstance(call, ast.Name)}
    return (makers & (names | attributes)) | (methods & attributes)
