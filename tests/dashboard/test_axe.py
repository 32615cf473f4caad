"""What axe-core, the accessibility checker of most browsers' tools, finds on the pages."""

import importlib.resources
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.serving import Visit, serving
from tests.dashboard.test_every_page import NARROW, PAGES, WIDE, deep_and_uniform, opened

fill = pytest.fixture(scope="module")(lambda: deep_and_uniform)

_RUN = "() => axe.run(document, { resultTypes: ['violations'] })"


@pytest.fixture(scope="module")
def axe() -> str:
    """axe-core's script, as the package axe-playwright-python carries it."""
    package = pytest.importorskip("axe_playwright_python", reason="axe-core is not installed")
    script = importlib.resources.files(package) / "axe.min.js"
    return script.read_text(encoding="utf-8")


def _looks(*names: str) -> pytest.MarkDecorator:
    looks = {
        "light": (WIDE, "light"),
        "dark": (WIDE, "dark"),
        "light and narrow": (NARROW, "light"),
        "dark and narrow": (NARROW, "dark"),
    }
    return pytest.mark.parametrize(
        "look",
        [
            pytest.param(name, id=name, marks=pytest.mark.view(viewport=size, color_scheme=scheme))
            for name, (size, scheme) in looks.items()
            if not names or name in names
        ],
    )


@_looks()
@pytest.mark.parametrize("address", PAGES)
def test_nothing_serious_is_found(visit: Visit, axe: str, address: str, look: str) -> None:
    assert _found(opened(visit, address), axe) == []


@_looks("light", "dark and narrow")
def test_nor_with_two_trials_and_all_unfolded(visit: Visit, axe: str, look: str) -> None:
    page = visit.go("/study?name=deep&trials=3&trials=5&accuracy-from=10&limit=within&bound=5")
    expect(page.get_by_role("region", name="What differs")).to_be_visible()
    expect(page.locator("figure.chart .main-svg:first-child")).to_have_count(3)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    expect(page.get_by_role("checkbox", name="failed")).to_be_visible()
    expect(page.get_by_role("checkbox", name="bytes of fc")).to_be_visible()
    assert _found(page, axe) == []


@_looks("light", "dark and narrow")
@pytest.mark.parametrize(
    ("address", "said"),
    [("/none", "There is no page"), ("/study?name=nobody", "no study"), ("/compare", "Choose")],
)
def test_nor_where_there_is_a_notice(
    visit: Visit, axe: str, address: str, said: str, look: str
) -> None:
    page = visit.go(address)
    expect(page.locator("#content .notice")).to_contain_text(said)
    assert _found(page, axe) == []
    if address == "/none":
        assert [one for one in visit.complaints if "404" not in one] == []
        visit.complaints.clear()


@_looks("light", "dark and narrow")
def test_nor_where_a_token_is_asked_for(
    visit: Visit, axe: str, database_file: Path, look: str
) -> None:
    with serving(f"sqlite:///{database_file}", token="a secret of some length") as url:
        page = visit.page
        page.goto(url)
        expect(page.get_by_label("Token")).to_be_visible()
        assert _found(page, axe) == []
        page.close()
    visit.complaints.clear()  # it is another server


def _found(page: Page, axe: str) -> list[tuple[str, str]]:
    """Return what axe-core finds on a page that is serious."""
    page.evaluate(axe)
    found: dict[str, Any] = page.evaluate(_RUN)
    assert found["testEngine"]["name"] == "axe-core"
    assert found["passes"], "no rule applied"
    return _serious(found)


def _serious(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (violation["id"], node["html"])
        for violation in found["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]
