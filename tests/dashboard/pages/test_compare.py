"""The page that compares studies, in a real browser."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from dashboard.database import Database
from dashboard.pages.compare import OVERVIEW, PAGE
from dashboard.parts.page import View
from dashboard.query import Query
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.migrate import upgrade
from mlgsearch.results.database.store import ResultStore
from tests.dashboard.marks import legend
from tests.dashboard.samples import CONTENT, NASTY, add_trial
from tests.dashboard.serving import Visit
from tests.results.samples import a_complete, a_study

OTHER = CONTENT | {"training": {"epochs": 20}, "data": {"name": "CIFAR10"}}


def write(store: ResultStore) -> None:
    for name, content, trials in (("one", CONTENT, 3), (NASTY, OTHER, 9)):
        store.create_study(a_study(name, content=content))
        for number in range(trials):
            add_trial(store, name, number)


fill = pytest.fixture(scope="module")(lambda: write)


def test_fronts_hypervolumes_and_files_stand_side_by_side(
    visit: Visit, writer: ResultStore
) -> None:
    page = visit.go("/compare?name=one")
    page.get_by_role("link", name=NASTY, exact=True).click()
    page.wait_for_selector("#compare-chart .main-svg")
    names = legend(page, "compare-chart")
    assert (names[0], len(names)) == ("one", 2)
    assert "<script" not in names[1]
    expect(page.locator("#compare-chart-summary")).to_contain_text(re.compile(r"one \d\.\d{4}"))
    expect(page.locator(".notice")).to_contain_text("different data")
    files = page.locator(".compare section table")
    assert files.get_by_role("columnheader").all_inner_texts() == ["key", "one", NASTY]
    cells = {
        row.locator("th").inner_text(): row.locator("td").all_inner_texts()
        for row in files.locator("tbody tr").all()
    }
    assert cells == {"data.name": ["digits", "CIFAR10"], "training.epochs": ["10", "20"]}

    before = page.locator("#compare-chart-summary").inner_text()
    page.get_by_role("combobox", name="Size").select_option("packed file in KB")
    expect(page.locator("#compare-chart-summary")).not_to_have_text(before)
    expect(page).to_have_url(re.compile("size=packed_kb"))
    before = page.locator("#compare-chart-summary").inner_text()
    add_trial(writer, "one", 24)
    expect(page.locator("#compare-chart-summary")).not_to_have_text(before)

    studies = page.locator("#compare-table table")
    expect(studies.locator("tbody tr").first).to_contain_text(
        re.compile(r"(within 1 point of|Nearest to) the teacher.*smaller, .* trial \d+\.")
    )
    expect(studies.get_by_role("columnheader").filter(has_text="best")).to_have_count(0)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download Where the study files differ as JSON").click()
    rows = json.loads(download.value.path().read_text())
    assert {"key": "training.epochs", "in one": 10, f"in {NASTY}": 20} in rows


def test_hypervolumes_count_from_the_reference_that_the_studies_share(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    engine = open_engine(url)
    upgrade(engine)
    store = ResultStore(engine)
    for name, ratio in (("one", -0.5), ("two", -0.5), ("three", -1.0)):
        reference = {"accuracy": 0.5, "memory_ratio": ratio}
        store.create_study(a_study(name, hypervolume_reference=reference))
        store.put_trial(name, a_complete(0, 0.9, 0.01))
    engine.dispose()
    database = Database(url)

    def volumes(*names: str) -> list[float]:
        query = Query({"name": names})
        return [row["hypervolume"] for row in OVERVIEW.rows(database, query)]

    # Both as on their own pages: fractions above 0.5 times decades below -0.5.
    assert volumes("one", "two") == pytest.approx([0.4 * 1.5] * 2)
    # Where the stored ones differ, from the constant, 0.
    assert volumes("one", "three") == pytest.approx([0.4 * 2.0] * 2)
    database.close()


def test_one_study_is_told_to_have_no_other(store: ResultStore, database_url: str) -> None:
    store.create_study(a_study("one"))
    database = Database(database_url)
    shown = str(PAGE.layout(database, View(Query({"name": ["one"]}), "light")))
    assert "There is no other study in this database" in shown
    database.close()
