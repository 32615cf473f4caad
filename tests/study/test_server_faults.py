"""A real driver on a PostgreSQL that cancels a statement, and then withdraws a permission."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from tests.postgres import own_postgres
from tests.study.driver import Driver, Study
from tests.study.test_silent_server import LONG_STUDY

CANCEL = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


@pytest.fixture
def admin() -> Iterator[Engine]:
    """A server's administrator; the driver is `weak`."""
    with own_postgres() as server:
        admin = create_engine(server.url, isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            for statement in ("CREATE ROLE weak LOGIN", "GRANT ALL ON SCHEMA public TO weak"):
                connection.execute(text(statement))
        yield admin
        admin.dispose()


@pytest.fixture
def study(admin: Engine, tmp_path: Path) -> Study:
    url = admin.url.set(username="weak").render_as_string(hide_password=False)
    return Study(tmp_path, tmp_path / "cache", LONG_STUDY, url)


def epochs(driver: Driver) -> list[int]:
    return [event["epoch"] for event in driver.seen if event["event"] == "epoch"]


def test_a_driver_outlasts_what_passes_and_stops_in_a_line_where_it_must_be_put_right(
    admin: Engine, study: Study
) -> None:
    driver = study.start("launch", str(study.file), "--max-parallel", "1")
    try:
        driver.read_until(lambda event: event["event"] == "epoch")
        # As long as another holds the lock its writes wait, and are cancelled one after another.
        locker = admin.execution_options(isolation_level="READ COMMITTED")
        with locker.begin() as held, admin.connect() as canceller:
            held.execute(text("LOCK TABLE mlg_trial IN ACCESS EXCLUSIVE MODE"))
            deadline = time.monotonic() + 120
            while "it cancelled a statement" not in driver.errors():
                canceller.execute(text(CANCEL))
                assert time.monotonic() < deadline, driver.errors()
                time.sleep(0.02)
        driver.read_until(lambda _: "the database takes writes again" in driver.errors())
        assert epochs(driver) == list(range(1, len(epochs(driver)) + 1))  # each once
        assert "training goes on, results wait in" in driver.errors()
        with admin.connect() as connection:
            connection.execute(text("REVOKE ALL ON mlg_trial FROM weak"))
        driver.read_to_end()
        assert driver.wait() == 2
        assert "Traceback" not in driver.errors()
        last = driver.errors().splitlines()[-1]
        assert last.startswith("error: the database cannot be used: its user may not do that")
        assert "put it right, then `resume` it" in last
        with admin.connect() as connection:
            connection.execute(text("GRANT ALL ON mlg_trial TO weak"))
        driver = study.start("resume", "tiny", "--max-parallel", "1")
        driver.read_until(lambda event: event["event"] == "epoch")
        driver.interrupt()
        driver.read_to_end()
        assert driver.wait() == 130, driver.errors()
    finally:
        driver.kill_with_workers()
    assert study.repeated_epochs() == []
