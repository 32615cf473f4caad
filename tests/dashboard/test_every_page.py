"""What is promised of every page, light and dark, wide and narrow."""

from typing import Any, Literal

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import Engine

from mlgsearch.records import TrialState
from mlgsearch.results.database import lease
from mlgsearch.results.database.store import ResultStore
from mlgsearch.results.database.verification_store import VerificationStore
from tests.dashboard.axe import axe_script, found_by_axe
from tests.dashboard.layered import layered_study
from tests.dashboard.serving import Visit
from tests.dashboard.toolbars import SELECTS, ZOOMS, toolbars
from tests.results.samples import a_complete, a_study, a_trial, a_verification, an_epoch

#: Page to how many charts it has. One study is stopped and has nothing selected but a bound and a
#: trial that is looked for; one runs, with students that are verified and a trial that failed.
PAGES = {
    "/": 0,
    "/study?name=uniform&limit=max_ratio&bound=0.05&find=99": 3,
    "/study?name=driven": 3,
    "/study?name=driven&trials=1&find=9": 3,
    "/study/trial?name=driven&number=9": 1,
    "/study?name=deep&trials=3": 3,
    "/study?name=deep&trials=3&chart=parallel": 4,
    "/study/layers?name=deep": 2,
    "/study/layers?name=uniform": 3,
    "/study/trial?name=deep&number=3": 1,
    "/study/importance?name=deep": 1,
    "/study/importance?name=uniform": 1,
    "/compare?name=deep&name=uniform": 1,
}
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 400, "height": 800}

#: Controls with neither a text nor a label, or that the keyboard passes by.
_UNNAMED = """() => [...document.querySelectorAll("button, a, input, select, summary, [tabindex]")]
  .filter((e) => !e.closest(".modebar") && e.getAttribute("tabindex") !== "-1")
  .filter((e) => !(e.ariaLabel || e.textContent.trim() || e.labels?.length))
  .map((e) => e.outerHTML)"""
_PASSED_BY = """() => [...document.querySelectorAll("button, a, input, select, summary")]
  .filter((e) => !e.closest(".modebar") && !e.disabled && e.checkVisibility())
  .filter((e) => e.tabIndex !== 0)
  .map((e) => e.outerHTML)"""
#: Of each chart: its name, its summary, the cells of its table, and its buttons.
_CHARTS = """() => [...document.querySelectorAll("figure.chart")].map((chart) => {
  const image = chart.querySelector("svg[role=img]");
  const table = document.getElementById(image.getAttribute("aria-details"));
  return {
    seen: chart.checkVisibility(),
    name: image.ariaLabel,
    interactive: image.querySelectorAll("a, button, [tabindex]").length,
    summary: document.getElementById(image.getAttribute("aria-describedby"))?.textContent,
    cells: table?.querySelectorAll("td").length,
    buttons: [...chart.querySelectorAll("button[data-save]")].map((b) => b.ariaLabel),
  };
})"""
_POOR = """() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = (rgb) => rgb.slice(0, 3)
    .map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const colour = channels(getComputedStyle(e).backgroundColor);
      if (colour.length < 4 || colour[3] > 0.5) return colour;
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll("body *")]
    .filter((e) => !e.closest("svg") && e.checkVisibility() && !e.disabled)
    .filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
    .map((e) => {
      const [low, high] = [luminance(channels(getComputedStyle(e).color)), luminance(ground(e))]
        .sort((a, b) => a - b);
      return [(high + 0.05) / (low + 0.05), e.outerHTML.slice(0, 200)];
    })
    .filter(([contrast]) => contrast < 4.5);
}"""


def deep_and_uniform(store: ResultStore) -> None:
    """Write the studies that the pages are about."""
    layered_study(store, "deep", trials=30)
    store.create_study(a_study("uniform", content={"space": {"kind": "uniform"}}, n_trials=12))
    for number in range(9):
        five = (1 + number % 3, 8 * (1 + number // 3), 4, 4, 4)
        trial = a_complete(number, 0.5 + number / 30, 0.01 + number / 100, settings={"conv1": five})
        store.put_trial("uniform", trial)
    store.create_study(a_study("driven", n_trials=12))
    for number in range(9):
        trial = a_complete(number, 0.5 + number / 30, 0.01 + number / 100)
        store.put_trial("driven", trial, [an_epoch(1), an_epoch(2)])
    error = "\n".join(f"  File a.py, line {line}" for line in range(40))
    failed = a_trial(9, state=TrialState.FAIL, error=error)
    store.put_trial("driven", failed, [an_epoch(1)])
    store.put_trial("driven", a_trial(10, epochs_done=4, accuracy=0.6))


def drive_and_verify(file_engine: Engine) -> None:
    """Have one of the studies run, and some of its students verified."""
    for trial, seed in ((1, 1), (1, 2), (8, 1)):
        VerificationStore(file_engine).put("driven", a_verification(trial, seed, 0.5 + trial / 40))
    lease.acquire(file_engine, "driven", holder="ada", host="node7", pid=7, ttl_s=3600)


fill = pytest.fixture(scope="module")(lambda: deep_and_uniform)
more = pytest.fixture(scope="module", autouse=True)(drive_and_verify)


def opened(visit: Visit, address: str) -> Page:
    """Open a page, wait for all its charts, and unfold their tables."""
    page = visit.go(address)
    expect(page.locator("figure.chart .main-svg:first-child")).to_have_count(PAGES[address])
    for folded in page.locator("figure.chart:visible > details").all():
        folded.locator("summary").click()
        expect(folded.locator("tbody tr").first).to_be_visible()
    return page


@pytest.fixture(scope="module")
def axe() -> str:
    return axe_script()


@pytest.mark.parametrize(
    ("size", "schemes"),
    [
        pytest.param(
            name, schemes, id=name, marks=pytest.mark.view(viewport=size, color_scheme=schemes[0])
        )
        for name, size, schemes in (
            ("wide", WIDE, ("light", "dark")),
            ("narrow", NARROW, ("dark", "light")),
        )
    ],
)
@pytest.mark.parametrize("address", PAGES)
def test_it_can_be_read_named_and_reached(
    visit: Visit, axe: str, address: str, size: str, schemes: tuple[Literal["dark", "light"], ...]
) -> None:
    page = opened(visit, address)
    if size == "wide":
        check_toolbars(page, address)
    for scheme in schemes:
        page.emulate_media(color_scheme=scheme)
        check_readable(page, address)
        assert found_by_axe(page, axe) == []


def check_toolbars(page: Page, address: str) -> None:
    """See that every chart that has axes can be zoomed, and that nothing can be sent away."""
    found = toolbars(page)
    assert len(found) == PAGES[address]
    for toolbar in found:
        selects = SELECTS if toolbar["id"] == "study-chart" else []
        zooms = ["Zoom", "Pan", *selects, *ZOOMS]
        assert toolbar["buttons"] == (zooms if toolbar["zoomable"] else [])
        assert toolbar["server"] == ""


def check_readable(page: Page, address: str) -> None:
    """See that nothing is too wide, too faint, without a name, or out of the keyboard's reach."""
    window = page.viewport_size
    assert window is not None
    assert page.evaluate("document.documentElement.scrollWidth") <= window["width"]
    assert page.locator("h1").count() == 1
    assert page.evaluate(_UNNAMED) == []
    assert page.evaluate(_PASSED_BY) == []
    assert page.evaluate(_POOR) == []
    charts: list[dict[str, Any]] = page.evaluate(_CHARTS)
    assert len({chart["name"] for chart in charts}) == PAGES[address]
    for chart in charts:
        assert chart["interactive"] == 0
        assert chart["summary"]
        assert chart["cells"] or not chart["seen"]
        assert chart["buttons"] == [f"Save {chart['name']} as {kind}" for kind in ("PNG", "SVG")]


def test_charts_follow_the_systems_colours(visit: Visit) -> None:
    page = opened(visit, "/compare?name=deep&name=uniform")
    paper = page.locator("figure.chart .main-svg").first
    for scheme, colour in (("dark", "rgb(23, 27, 32)"), ("light", "rgb(255, 255, 255)")):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        expect(paper).to_have_css("background-color", colour)
