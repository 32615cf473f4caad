"""When the library of charts runs in the browser, and which charts it draws."""

import re

from playwright.sync_api import Page, Route, expect

from mlgsearch.results.database.store import ResultStore
from tests.dashboard.samples import add_trial
from tests.dashboard.serving import Visit


def test_the_library_of_charts_is_fetched_once_and_before_the_page(visit: Visit) -> None:
    asked: list[str] = []
    visit.page.on("request", lambda request: asked.append(request.url))
    visit.study("digits")
    library = [place for place, url in enumerate(asked) if url.endswith("plotly.min.js")]
    first = next(place for place, url in enumerate(asked) if "/_dash-update-component" in url)
    assert len(library) == 1
    assert library[0] < first
    # What came with the page is not asked for once more.
    assert len([url for url in asked if "/_dash-update-component" in url]) == 1


def test_the_library_of_charts_is_fetched_again_where_that_failed(visit: Visit) -> None:
    page, failed = visit.page, list[str]()

    def fail_once(route: Route) -> None:
        if failed:
            route.continue_()
        else:
            failed.append(route.request.url)
            route.abort()

    page.route("**/plotly.min.js", fail_once)
    visit.study("digits")
    assert [reported for reported in visit.complaints if "ERR_FAILED" not in reported] == []
    visit.complaints.clear()


def test_a_library_of_charts_that_never_comes_is_reported(visit: Visit) -> None:
    visit.page.route("**/plotly.min.js", lambda route: route.abort())
    page = visit.go("/study?name=digits")
    expect(page.locator("#banner")).to_have_text(re.compile("did not load: reload the page"))
    expect(page.locator(".sketch")).to_be_visible()
    visit.complaints.clear()


def test_the_library_of_charts_runs_while_a_page_is_long_in_coming(visit: Visit) -> None:
    page, held = visit.page, visit.hold("**/_dash-update-component*")
    page.goto(f"{visit.base}/study?name=digits")
    expect(page.locator("script[src$='/plotly.min.js']")).to_be_attached()
    assert len(held) == 1
    held.pop().continue_()
    page.wait_for_selector("#study-chart .main-svg .legend")


def test_a_picture_of_what_is_not_drawn_yet_is_not_saved(visit: Visit) -> None:
    page, held = visit.page, visit.hold("**/plotly.min.js")
    page.goto(f"{visit.base}/study?name=digits", wait_until="commit")
    page.get_by_role("button", name="PNG").first.click()
    held.pop().continue_()
    page.wait_for_selector("#study-chart .main-svg .legend")


def test_a_chart_that_cannot_be_seen_is_drawn_once_it_can(
    visit: Visit, writer: ResultStore
) -> None:
    page, drawn, now = _with_one_more(visit, writer, 40)
    assert _course(page) == drawn
    page.locator("#study-course-summary").scroll_into_view_if_needed()
    expect(page.locator("#study-course .js-plotly-plot")).to_be_in_viewport()
    for _ in range(100):
        if _course(page) == now:
            break
        page.wait_for_timeout(50)
    assert _course(page) == now


def test_on_paper_every_chart_is_as_new_as_the_page(visit: Visit, writer: ResultStore) -> None:
    page, drawn, now = _with_one_more(visit, writer, 41)
    assert _course(page) == drawn
    assert _course(page, "window.dispatchEvent(new Event('beforeprint'))") == now


def test_what_is_saved_is_as_new_as_the_page(visit: Visit, writer: ResultStore) -> None:
    page, drawn, now = _with_one_more(visit, writer, 42)
    assert _course(page) == drawn
    with page.expect_download():
        assert _course(page, "document.querySelector('[data-save=study-course]').click()") == now


def _with_one_more(visit: Visit, writer: ResultStore, number: int) -> tuple[Page, int, int]:
    """Add a trial to a page; return the page, and how many its lowest chart went over, and should.

    The chart lies below the window.
    """
    page = visit.go("/study?name=digits")
    page.wait_for_selector("#study-course .main-svg")
    drawn = _course(page)
    add_trial(writer, "digits", number)
    expect(page.locator("#study-course-summary")).to_contain_text(f"after {drawn + 1} trials")
    return page, drawn, drawn + 1


def _course(page: Page, first: str = "") -> int:
    """Do something first, and give over how many trials the chart of the hypervolume goes."""
    chart = "document.querySelector('#study-course .js-plotly-plot')"
    trials = page.evaluate(f"() => {{ {first}; return {chart}.data[0].customdata.at(-1)[1]; }}")
    assert isinstance(trials, int)
    return trials
