"""The page of all studies."""

import csv
import io
import json
import re
from datetime import timedelta

import pytest
from playwright.sync_api import expect
from sqlalchemy import Engine

from mlgsearch.records import LeaseRecord
from mlgsearch.results.database import lease
from mlgsearch.results.database.store import ResultStore
from tests.dashboard.samples import NASTY, add_trial, fill_some_studies
from tests.dashboard.serving import Visit
from tests.results.samples import a_complete, a_study


def write(store: ResultStore) -> None:
    fill_some_studies(store)
    store.create_study(a_study("=1+1", n_trials=4))
    for number in range(4):
        add_trial(store, "=1+1", number)


fill = pytest.fixture(scope="module")(lambda: write)


@pytest.fixture(scope="module", autouse=True)
def driver(file_engine: Engine) -> LeaseRecord:
    """Hold one study, as a driver on another machine does."""
    return lease.acquire(file_engine, "digits", holder="ada", host="there", pid=7, ttl_s=3600)


def row(visit: Visit, name: str) -> str:
    link = visit.page.get_by_role("link", name=name, exact=True)
    return visit.page.locator("tbody tr", has=link).inner_text()


def test_each_study_is_told_in_its_row(visit: Visit) -> None:
    visit.go("/")
    assert visit.page.locator("tbody tr").count() == 5
    for said in (
        "40 of 60",
        "30 complete",
        "5 stopped early",
        "5 failed",
        "running on there",
        "97.86%",
    ):
        assert said in row(visit, "digits")
    assert "stopped" in row(visit, "empty")
    assert "finished" in row(visit, "=1+1")
    expect(visit.page).to_have_title("Studies - mlgsearch")


def test_a_search_that_ended_by_its_rule_is_called_so_here_and_on_its_page(
    visit: Visit, writer: ResultStore
) -> None:
    writer.create_study(a_study("early"))
    add_trial(writer, "early", 0)
    writer.set_ended("early", 8, "no gain in 5 trials")
    words = "finished early: no gain in 5 trials"
    visit.go("/?show=done")
    assert words in row(visit, "early")
    visit.go("/?show=open")
    expect(visit.page.get_by_role("link", name="early", exact=True)).to_have_count(0)
    page = visit.go("/study?name=early")
    expect(page.locator("#study-state strong")).to_have_text(words)
    writer.delete_study("early")


def test_a_nasty_name_is_text_everywhere(visit: Visit) -> None:
    page = visit.go("/")
    link = page.get_by_role("link", name=NASTY, exact=True)
    assert page.locator("tbody script").count() == 0
    link.click()
    expect(page).to_have_url(re.compile(r"/study\?name=%3Cscript%3E.*%252F$"))
    page.goto(page.url)
    expect(page.locator("#content")).to_contain_text(NASTY)


def test_search_show_and_sort(visit: Visit) -> None:
    page = visit.go("/")
    page.get_by_label("Search").fill("EMP")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page).to_have_url(re.compile(r"search=EMP"))
    page.get_by_label("Search").fill("no such study")
    expect(page.locator("#content")).to_contain_text("No study matches")
    page.get_by_label("Search").fill("")
    page.get_by_label("Show").select_option("driven")
    expect(page.locator("tbody th")).to_have_text(["digits"])
    page.reload()
    expect(page.locator("tbody th")).to_have_text(["digits"])
    page.get_by_label("Show").select_option("done")
    expect(page.locator("tbody th")).to_have_text(["=1+1"])


def test_studies_are_picked_by_keyboard_and_compared(visit: Visit) -> None:
    page = visit.go("/")
    page.get_by_role("checkbox", name="Compare digits").press("Space")
    expect(page.get_by_role("checkbox", name="Compare digits")).to_be_checked()
    page.get_by_role("checkbox", name=f"Compare {NASTY}", exact=True).press("Enter")
    compare = page.get_by_role("link", name="Compare 2 studies")
    expect(compare).to_be_visible()
    page.reload()
    expect(page.get_by_role("checkbox", checked=True)).to_have_count(2)
    compare.click()
    expect(page).to_have_url(re.compile(r"/compare\?name=digits&name=%3Cscript"))


def test_the_table_is_downloaded_whole_and_harmless(visit: Visit) -> None:
    page = visit.go("/?studies-sort=study")
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download Studies as CSV, all rows").click()
    assert waiting.value.suggested_filename == "studies.csv"
    rows = list(csv.DictReader(io.StringIO(waiting.value.path().read_text(), newline="")))
    assert [row["study"] for row in rows] == [NASTY, "'=1+1", "digits", "empty", "failing"]
    assert rows[2]["complete"] == "30"
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download Studies as JSON, all rows").click()
    rows = json.loads(waiting.value.path().read_text())
    assert [row["study"] for row in rows] == [NASTY, "=1+1", "digits", "empty", "failing"]


def test_a_driven_study_reports_what_is_left(
    visit: Visit, file_engine: Engine, driver: LeaseRecord
) -> None:
    page = visit.go("/?studies-sort=time_left_s")
    driven = page.locator("tbody tr", has_text="running on there")
    expect(driven.locator("td").nth(3)).to_have_text("")  # none has ended under this driver
    store = ResultStore(file_engine, driver)
    for number in (40, 41, 42):
        ended = driver.acquired_at + timedelta(minutes=number - 39)
        store.put_trial("digits", a_complete(number, 0.5, 0.1, finished_at=ended))
    expect(driven).to_contain_text("43 of 60")
    expect(driven.locator("td").nth(3)).to_have_text("17 min")


@pytest.mark.view(viewport={"width": 400, "height": 800}, color_scheme="dark")
def test_narrow_and_dark(visit: Visit) -> None:
    page = visit.go("/")
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 18, 22)"
    page.emulate_media(color_scheme="light")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(244, 246, 248)"


def test_the_keyboard_reaches_the_content_past_the_menu(visit: Visit) -> None:
    page = visit.go("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="To the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#content")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_label("Search")).to_be_focused()
