"""A browser for all tests, a server for a module, a page for each test.

A module has its own data by overriding the fixture ``fill``.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import Engine

from dashboard.database import Database
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.migrate import upgrade
from mlgsearch.results.database.store import ResultStore
from tests.dashboard.samples import fill_some_studies
from tests.dashboard.serving import CHROMIUM, Visit, chromium, serving

Fill = Callable[[ResultStore], None]

#: Ample: a busy machine is slow, and what never comes fails all the same.
_PATIENCE_MS = 90_000
expect.set_options(timeout=_PATIENCE_MS)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """System's Chromium; without one the tests are skipped, but not in continuous integration."""
    if CHROMIUM is None:
        why = "no Chromium on this machine: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def fill() -> Fill:
    """What writes the module's studies."""
    return fill_some_studies


@pytest.fixture(scope="module")
def database_file(tmp_path_factory: pytest.TempPathFactory, fill: Fill) -> Path:
    """SQLite file with the module's studies."""
    path = tmp_path_factory.mktemp("dashboard") / "results.db"
    engine = open_engine(f"sqlite:///{path}")
    upgrade(engine)
    fill(ResultStore(engine))
    engine.dispose()
    return path


@pytest.fixture(scope="module")
def file_engine(database_file: Path) -> Iterator[Engine]:
    """Engine that writes to the module's file."""
    engine = open_engine(f"sqlite:///{database_file}")
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def writer(file_engine: Engine) -> ResultStore:
    """Store that writes what the pages then follow."""
    return ResultStore(file_engine)


@pytest.fixture(scope="module")
def database(database_file: Path) -> Iterator[Database]:
    """The module's studies as pages read them."""
    database = Database(f"sqlite:///{database_file}")
    yield database
    database.close()


@pytest.fixture(scope="module")
def served(database_file: Path) -> Iterator[str]:
    """Address of a server over the module's studies."""
    with serving(f"sqlite:///{database_file}") as url:
        yield url


@pytest.fixture
def visit(browser: Browser, served: str, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """A new page, 1280 by 800 and light, or as the test's mark ``view(...)`` says.

    At the end nothing may have gone wrong on it: no error or warning in the console, no request
    to another host. A test that makes errors on purpose clears ``visit.complaints``.
    """
    marker = request.node.get_closest_marker("view")
    options: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"}
    if marker is not None:
        options |= marker.kwargs
    context = browser.new_context(base_url=served, **options)
    context.set_default_timeout(_PATIENCE_MS)
    visit = Visit(context.new_page(), served)
    yield visit
    context.close()
    assert visit.complaints == []


@pytest.fixture
def page(visit: Visit) -> Page:
    """The visit's page."""
    return visit.page
