"""A real server that is connected and says nothing."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from mlgsearch.errors import StorageError
from mlgsearch.results.database.connection import silence
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.connection.silence import KEEPALIVES, limit_waits
from mlgsearch.results.database.connection.trouble import trouble
from tests.black_hole import BlackHole, black_hole
from tests.conftest import MYSQL


@pytest.fixture
def hole(postgres_server: str) -> Iterator[BlackHole]:
    with black_hole(postgres_server) as hole:
        yield hole


@pytest.fixture
def engine(hole: BlackHole, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.setattr(silence, "_DRIVER_SILENCE_S", 0.3)
    monkeypatch.setattr(silence, "_DRIVER_CONNECT_S", 2)  # libpq knows no shorter one
    engine = open_engine(hole.url)
    limit_waits(engine, 0.1)
    yield engine
    engine.dispose()


def test_a_statement_ends_where_the_server_says_nothing(hole: BlackHole, engine: Engine) -> None:
    assert said_in_silence(hole, engine) == "it is away (the server did not answer for 0.4 s)"


def said_in_silence(hole: BlackHole, engine: Engine) -> str | None:
    """Return what is said of a silence, in which neither a statement nor a new connection hangs."""
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        hole.swallow()
        began = time.monotonic()
        with pytest.raises(OperationalError) as caught:
            connection.execute(text("SELECT 2"))
        assert time.monotonic() - began < 2
    # Nor does a new connection hang.
    began = time.monotonic()
    with pytest.raises(OperationalError):
        engine.connect()
    assert time.monotonic() - began < 10
    hole.release()
    with engine.connect() as connection:
        assert connection.execute(text("SELECT 3")).scalar() == 3
    found = trouble(caught.value)
    return found and found.said


def test_a_pooled_connection_is_not_waited_for_longer(hole: BlackHole, engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    hole.swallow()
    began = time.monotonic()
    with pytest.raises(OperationalError):
        engine.connect()
    assert time.monotonic() - began < 10


def test_an_answer_that_is_long_on_its_way_but_comes_is_no_silence(engine: Engine) -> None:
    many = "SELECT repeat('x', 1000), pg_sleep(0.0005) FROM generate_series(1, 2000)"
    with engine.connect() as connection:
        began = time.monotonic()
        assert len(connection.execute(text(many)).all()) == 2000
        assert time.monotonic() - began > 0.4


def test_a_command_says_so_in_a_line(hole: BlackHole) -> None:
    hole.swallow()
    with pytest.raises(StorageError, match="cannot open the database: connection"):
        open_engine(f"{hole.url}?connect_timeout=2")


def test_ctrl_c_ends_a_statement_without_asking_the_server(
    hole: BlackHole, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "_DRIVER_SILENCE_S", 60.0)
    engine.dispose()
    limit_waits(engine, 0.1)
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        hole.swallow()
        press = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
        press.start()
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            connection.execute(text("SELECT 2"))
        assert time.monotonic() - began < 4
        press.join()


@pytest.mark.skipif(not MYSQL, reason="MLGSEARCH_TEST_MYSQL names no database")
def test_mysql_is_waited_for_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "_DRIVER_SILENCE_S", 0.3)
    with black_hole(MYSQL) as hole:
        engine = open_engine(hole.url)
        limit_waits(engine, 0.1)
        assert str(said_in_silence(hole, engine)).startswith("it is away (")
        engine.dispose()


def test_the_kernel_looks_after_connections(hole: BlackHole, engine: Engine) -> None:
    with engine.connect() as connection:
        info = connection.connection.dbapi_connection.info  # type: ignore[union-attr]
        assert {name: int(info.get_parameters()[name]) for name in KEEPALIVES} == KEEPALIVES
