"""A PostgreSQL server that stops and starts again while a page is open."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.migrate import upgrade
from mlgsearch.results.database.store import ResultStore
from tests.dashboard.samples import add_trial, fill_some_studies
from tests.dashboard.serving import Visit, serving
from tests.postgres import Database, own_postgres


@pytest.fixture(scope="module")
def postgres() -> Iterator[Database]:
    with own_postgres() as server:
        yield server


@pytest.fixture(scope="module")
def served(postgres: Database) -> Iterator[str]:
    engine = open_engine(postgres.url)
    upgrade(engine)
    fill_some_studies(ResultStore(engine))
    engine.dispose()
    with serving(postgres.url) as address:
        yield address


def test_a_page_outlives_its_database_and_follows_again(visit: Visit, postgres: Database) -> None:
    page = visit.study("digits&trials=12")
    postgres.take()
    banner = page.locator("#banner")
    expect(banner).to_contain_text("the database cannot be read")
    expect(page.locator("#study-state")).to_contain_text("40 of 60")
    # What is asked of it meanwhile is answered, and changes nothing of what is shown.
    page.get_by_role("combobox", name="Across").select_option("packed file in KB")
    page.get_by_role("link", name="Layers", exact=True).click()
    expect(page.locator("#content")).to_contain_text("the database cannot be read")
    page.go_back()
    postgres.give()
    expect(banner).to_be_hidden()
    expect(page.locator("#study-state")).to_contain_text("40 of 60")
    engine = open_engine(postgres.url)
    add_trial(ResultStore(engine), "digits", 40)
    engine.dispose()
    expect(page.locator("#study-state")).to_contain_text("41 of 60")
    expect(page.get_by_role("combobox", name="Across")).to_have_value("packed_kb")
    assert page.locator(".trial-card h3").all_inner_texts() == ["Trial 12"]
