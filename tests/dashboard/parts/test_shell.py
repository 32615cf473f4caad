"""What every page has: following, colours, addresses, banner."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from playwright.sync_api import Response, expect
from sqlalchemy.exc import OperationalError

from dashboard.database import Database
from mlgsearch.results.analysis.trial_columns import TrialColumns
from mlgsearch.results.database.store import ResultStore
from tests.dashboard.serving import Visit
from tests.results.samples import a_study, begin_run


def test_a_page_follows_what_is_written(visit: Visit, writer: ResultStore) -> None:
    page = visit.go("/")
    expect(page.get_by_role("link", name="later")).to_have_count(0)
    writer.create_study(a_study("later"))
    expect(page.get_by_role("link", name="later")).to_be_visible()


def test_the_view_stands_in_the_address(visit: Visit) -> None:
    page = visit.go("/")
    page.get_by_role("button", name="Study", exact=True).click()
    expect(page).to_have_url(re.compile("studies-sort=study"))
    page.get_by_role("button", name="Study", exact=True).click()
    expect(page).to_have_url(re.compile("studies-sort=-study"))
    expect(page.locator("[aria-sort=descending]")).to_contain_text("Study")
    names = page.locator("tbody th").all_inner_texts()
    assert names == sorted(names, key=str.casefold, reverse=True)
    page.reload()
    expect(page.locator("tbody th").first).to_have_text(names[0])
    page.get_by_role("link", name="mlgsearch").click()
    expect(page).to_have_url(re.compile("/$"))
    expect(page.locator("[aria-sort]")).to_contain_text("Last activity")


@pytest.mark.view(
    viewport={"width": 1280, "height": 800},
    permissions=["clipboard-read", "clipboard-write"],
)
@pytest.mark.parametrize(
    "address", ["/?show=open", "/study?name=digits&hide=FAIL", "/compare?name=digits&name=failing"]
)
def test_the_link_to_the_view_is_copied_on_every_page(visit: Visit, address: str) -> None:
    page = visit.go(address)
    page.get_by_role("button", name="Copy link to this view").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == visit.base + address


@pytest.mark.parametrize("what", ["shown", "asked for"])
def test_a_database_that_goes_away_and_comes_back(
    visit: Visit, database_file: Path, what: str
) -> None:
    page = visit.go("/")
    aside = database_file.rename(database_file.with_suffix(".aside"))
    expect(page.locator("#banner")).to_contain_text("is gone")
    expect(page.get_by_role("link", name="digits")).to_be_visible()
    if what == "asked for":
        page.reload()
        expect(page.locator("#content")).to_contain_text("is gone")
    aside.rename(database_file)
    expect(page.locator("#banner")).to_be_hidden()
    expect(page.get_by_role("link", name="digits")).to_be_visible()
    expect(page.locator("#content")).not_to_contain_text("is gone")


def test_a_page_of_what_is_not_there_waits_for_it(visit: Visit, writer: ResultStore) -> None:
    page = visit.go("/study/layers?name=new")
    expect(page.locator("#content")).to_contain_text("no study 'new'")
    writer.create_study(a_study("new"))
    expect(page.locator("#content")).not_to_contain_text("no study 'new'")
    writer.delete_study("new")
    expect(page.locator("#content")).to_contain_text("no study 'new'")


def test_news_that_could_not_be_read_are_read_again(
    visit: Visit, writer: ResultStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = visit.study("digits")
    read = Database.trials
    failed: list[str] = []

    def fail_thrice(database: Database, study: str) -> TrialColumns:
        if len(failed) < 3:
            failed.append(study)
            raise OperationalError("SELECT", {}, Exception("database is locked"))
        return read(database, study)

    monkeypatch.setattr(Database, "trials", fail_thrice)
    begin_run(writer, teacher_hash="0" * 64, teacher_accuracy=0.8765)
    expect(page.locator("#study-facts")).to_contain_text("87.65 %")
    assert len(failed) == 3


def test_rows_that_did_not_change_are_not_drawn_again(visit: Visit, writer: ResultStore) -> None:
    page = visit.go("/study?name=digits")
    line = page.locator("#study-table tbody tr").first
    mark = "line => { line.marked = true; }"
    line.evaluate(mark)
    begin_run(writer, teacher_hash="0" * 64, teacher_accuracy=0.7654)
    expect(page.locator("#study-facts")).to_contain_text("76.54 %")
    assert line.evaluate("line => line.marked")


def test_a_folded_table_is_sent_once_it_is_unfolded(visit: Visit, writer: ResultStore) -> None:
    page, answers = visit.page, list[Response]()
    page.on("response", lambda answer: answers.append(answer))  # playwright marks what it calls
    visit.study("digits")
    chart = page.locator("figure.chart", has=page.get_by_role("heading", name="Hypervolume over"))
    begin_run(writer, teacher_hash="0" * 64, teacher_accuracy=0.5432)
    expect(page.locator("#study-facts")).to_contain_text("54.32 %")
    assert _with_steps(answers) == 0
    chart.get_by_text("Table", exact=True).click()
    expect(chart.get_by_role("table")).to_contain_text("trials with a result")
    expect(chart.locator(".foot")).to_contain_text("rows")
    # It is not sent again while it stays the same.
    begin_run(writer, teacher_hash="0" * 64, teacher_accuracy=0.6543)
    expect(page.locator("#study-facts")).to_contain_text("65.43 %")
    assert _with_steps(answers) == 1


def _with_steps(answers: Sequence[Response]) -> int:
    """Count the answers that hold the table of a hypervolume's steps."""
    updates = [one for one in answers if "/_dash-update-component" in one.url and one.status == 200]
    assert updates
    return sum("Steps of the hypervolume" in one.text() for one in updates)


def test_while_a_page_is_made_it_says_that_it_loads(visit: Visit) -> None:
    page, held = visit.page, visit.hold("**/_dash-update-component*")
    with page.expect_request("**/_dash-update-component*"):
        page.goto(f"{visit.base}/study?name=digits")
    expect(page.get_by_text("Loading\N{HORIZONTAL ELLIPSIS}")).to_be_visible()
    held.pop().continue_()
    expect(page.get_by_role("heading", level=1)).to_have_text("digits")
    # The page before stays meanwhile, and is faint.
    with page.expect_request("**/_dash-update-component*"):
        page.get_by_role("link", name="Layers", exact=True).click()
    content = page.locator("#content")
    expect(content).to_have_attribute("data-dash-is-loading", "true")
    expect(content.locator("> *").first).to_have_css("opacity", "0.45")
    held.pop().continue_()
    expect(page.get_by_role("heading", level=1)).to_have_text("Layers of digits")
    expect(content).not_to_have_attribute("data-dash-is-loading", "true")


def test_a_name_that_is_made_to_point_here_gets_nothing(visit: Visit) -> None:
    # Browsers take every name under localhost for this machine; the server knows only some.
    url = visit.base.replace("127.0.0.1", "evil.localhost")
    answer = visit.page.goto(f"{url}/study?name=digits")
    assert answer is not None
    assert answer.status == 400
    expect(visit.page.locator("body")).to_contain_text("not the dashboard's")
    assert "digits" not in visit.page.content()
    visit.page.close()  # it may yet ask for an icon
    visit.complaints.clear()


def test_an_unknown_address(visit: Visit) -> None:
    page = visit.go("/none")
    expect(page.locator("#content")).to_contain_text("There is no page at this address.")
    page.get_by_role("link", name="All studies").click()
    expect(page.get_by_role("link", name="digits")).to_be_visible()
    assert [c for c in visit.complaints if "404" not in c] == []
    visit.complaints.clear()
