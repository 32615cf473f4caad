"""What axe-core finds on pages in states that `test_every_page` does not open."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.dashboard.axe import axe_script, found_by_axe
from tests.dashboard.serving import Visit, serving
from tests.dashboard.test_every_page import NARROW, WIDE, deep_and_uniform, drive_and_verify

fill = pytest.fixture(scope="module")(lambda: deep_and_uniform)
more = pytest.fixture(scope="module", autouse=True)(drive_and_verify)
axe = pytest.fixture(scope="module")(axe_script)

_LOOKS = pytest.mark.parametrize(
    "look",
    [
        pytest.param(name, id=name, marks=pytest.mark.view(viewport=size, color_scheme=scheme))
        for name, size, scheme in (("light", WIDE, "light"), ("dark and narrow", NARROW, "dark"))
    ],
)


@_LOOKS
def test_nothing_serious_is_found_with_two_trials_and_all_unfolded(
    visit: Visit, axe: str, look: str
) -> None:
    page = visit.go("/study?name=deep&trials=3&trials=5&accuracy-from=10&limit=within&bound=5")
    expect(page.get_by_role("region", name="What differs")).to_be_visible()
    expect(page.locator("figure.chart .main-svg:first-child")).to_have_count(3)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    expect(page.get_by_role("checkbox", name="failed")).to_be_visible()
    expect(page.get_by_role("checkbox", name="bytes of fc")).to_be_visible()
    expect(page.locator(".origin pre")).to_be_visible()
    assert found_by_axe(page, axe) == []


@_LOOKS
@pytest.mark.parametrize(
    ("address", "said"),
    [("/none", "There is no page"), ("/study?name=nobody", "no study"), ("/compare", "Choose")],
)
def test_nor_where_there_is_a_notice(
    visit: Visit, axe: str, address: str, said: str, look: str
) -> None:
    page = visit.go(address)
    expect(page.locator("#content .notice")).to_contain_text(said)
    assert found_by_axe(page, axe) == []
    if address == "/none":
        assert [one for one in visit.complaints if "404" not in one] == []
        visit.complaints.clear()


@_LOOKS
def test_nor_where_a_token_is_asked_for(
    visit: Visit, axe: str, database_file: Path, look: str
) -> None:
    with serving(f"sqlite:///{database_file}", token="a secret of some length") as url:
        page = visit.page
        page.goto(url)
        expect(page.get_by_label("Token")).to_be_visible()
        assert found_by_axe(page, axe) == []
        page.close()
    visit.complaints.clear()  # it is another server
