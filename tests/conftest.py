"""Databases for tests: everything that takes ``database_url`` runs on SQLite and on PostgreSQL.

And on MySQL or MariaDB where ``MLGSEARCH_TEST_MYSQL`` is the URL of a database there, which the
tests empty.
"""

import faulthandler
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import Engine, create_engine, inspect, text

from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.migrate import upgrade
from mlgsearch.results.database.store import ResultStore
from tests.postgres import own_postgres

# Ray's workers step back for every other process, so beside another test they take forever.
os.environ.setdefault("RAY_worker_niceness", "0")
# Workers that wait for work take a second of a processor each, and ours are started when wanted.
os.environ.setdefault("RAY_enable_worker_prestart", "0")
os.environ.setdefault("RAY_prestart_worker_first_driver", "0")
# Two threads of one process wait for each other where another test has one of the processors.
os.environ.setdefault("OMP_NUM_THREADS", "1")

#: What ends a test, its module and all tests takes some seconds.
_MOST_TEARDOWN_S = 240

# By default an example that takes 0.2 s fails, and so do some that take a second to be drawn: a
# busy machine makes either of any.
settings.register_profile(
    "untimed", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("untimed")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Generator[None]:
    """End the process where what ends a test hangs: after a failure no other limit holds."""
    faulthandler.dump_traceback_later(_MOST_TEARDOWN_S, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One teacher for all studies of a module."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a PostgreSQL server's first database; the server runs as long as the tests."""
    with own_postgres() as server:
        yield server.url


@pytest.fixture(scope="session")
def postgres_database(postgres_server: str) -> Iterator[Engine]:
    """Database that the tests use in turn, on a server that waits for no disk."""
    admin = create_engine(postgres_server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            connection.execute(text(f"ALTER SYSTEM SET {setting} = off"))
        connection.execute(text("SELECT pg_reload_conf()"))
        connection.execute(text("CREATE DATABASE tests"))
    admin.dispose()
    # A connection that an earlier test left open may hold a lock: fail instead of waiting forever.
    impatience = {"options": "-c lock_timeout=60s"}
    url = admin.url.set(database="tests")
    engine = create_engine(url, isolation_level="AUTOCOMMIT", connect_args=impatience)
    yield engine
    engine.dispose()


MYSQL = os.environ.get("MLGSEARCH_TEST_MYSQL", "")


@pytest.fixture(params=["sqlite", "postgresql", *(["mysql"] if MYSQL else [])])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a database that is empty."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/results.db"
    if request.param == "mysql":
        _empty_mysql()
        return MYSQL
    database: Engine = request.getfixturevalue("postgres_database")
    with database.connect() as connection:
        # Emptied, not made anew: that takes a tenth of a second each time. What the last test
        # left connected might hold locks.
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    return database.url.render_as_string(hide_password=False)


def _empty_mysql() -> None:
    """Drop every table; what refers to what does not matter."""
    engine = create_engine(MYSQL, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("SET FOREIGN_KEY_CHECKS = 0"))
        for name in inspect(connection).get_table_names():
            connection.execute(text(f"DROP TABLE `{name}`"))
    engine.dispose()


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """Engine of a database with our newest schema."""
    engine = open_engine(database_url)
    upgrade(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def store(engine: Engine) -> ResultStore:
    """Store that holds nothing yet."""
    return ResultStore(engine)
