"""Opening databases, and the messages when that fails."""

import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from mlgsearch.errors import StorageError
from mlgsearch.results.database.connection.engine import open_engine, shown_url, writing


@contextmanager
def connected(url: str, *, read_only: bool = False) -> Iterator[Connection]:
    """Yield a connection, and close it after the test."""
    engine = open_engine(url, read_only=read_only)
    with engine.connect() as connection:
        yield connection
    engine.dispose()  # or Python 3.13 complains


@pytest.mark.parametrize("url", ["", "rubbish", "nosuch://a/b", "postgresql://u:hunter2@h:x/db"])
def test_a_malformed_url_is_told_with_an_example(url: str) -> None:
    with pytest.raises(StorageError, match=r"write for example sqlite:///mlgsearch\.db") as raised:
        open_engine(url)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:one@two@host.invalid/db",
        "postgresql://u:one@two?three@host.invalid/db",
        "postgresql://u:one@two@three@host.invalid:5432/db?connect_timeout=1",
        "mysql://u:one@two@host.invalid/db",
    ],
)
def test_a_bare_mark_in_a_password_is_told_and_shows_no_piece_of_it(url: str) -> None:
    with pytest.raises(StorageError, match=r"holds a bare @ or \?.*write %40 for @") as raised:
        open_engine(url)
    assert not any(piece in str(raised.value) for piece in ("one", "two", "three"))


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///" + "a" * 5000,
        "sqlite:///" + "a" * 5000 + "/a.db",
        "sqlite:///x?cached_statements=99999999999999999999",
        "sqlite:///x?plugin=os",
        "sqlite+aiosqlite:///a.db",
        "postgresql+psycopg_async://127.0.0.1:9/x",
        "postgresql://\udcff@127.0.0.1:9/x",
        "@~nobody-of-that-name/url",
        "@" + "a" * 5000,
    ],
)
@pytest.mark.parametrize("read_only", [True, False])
def test_an_odd_url_is_a_mistake_and_no_accident(
    url: str, read_only: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StorageError):
        open_engine(url, read_only=read_only)


def test_a_file_whose_name_is_no_text_is_opened(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/\udcff.db"
    for read_only in (False, True):
        open_engine(url, read_only=read_only).dispose()


@pytest.mark.parametrize("query", ["timeout=soon", "check_same_thread=maybe"])
def test_a_malformed_option_is_reported(tmp_path: Path, query: str) -> None:
    with pytest.raises(StorageError, match=r"not a database URL: .*(soon|true/false)"):
        open_engine(f"sqlite:///{tmp_path}/a.db?{query}")


def test_a_file_that_another_program_holds_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlgsearch.results.database.connection.engine.BUSY_TIMEOUT_S", 0)
    holder = sqlite3.connect(tmp_path / "a.db")
    holder.execute("PRAGMA journal_mode = WAL")  # which nobody can change while it is open
    holder.execute("CREATE TABLE t (x)")
    with pytest.raises(StorageError, match="database is locked; another program holds the file"):
        open_engine(f"sqlite:///{tmp_path}/a.db")
    holder.close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (
            "postgresql+pg8000://u:hunter2@h/db",
            "pg8000 is not installed; postgresql:// takes psycopg: pip install "
            "'mlgsearch[postgres]'",
        ),
        ("mysql://u:hunter2@h/db", "pymysql is not installed: pip install 'mlgsearch[mysql]'"),
        ("mariadb://u:hunter2@h/db", "pymysql is not installed: pip install 'mlgsearch[mysql]'"),
    ],
)
def test_a_driver_that_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, url: str, said: str
) -> None:
    monkeypatch.setitem(sys.modules, "pymysql", None)  # also where it is installed
    with pytest.raises(StorageError) as caught:
        open_engine(url)
    assert str(caught.value).endswith(f"the driver {said}")
    assert "hunter2" not in str(caught.value)


def test_an_unreachable_server_is_told_without_its_password() -> None:
    with pytest.raises(
        StorageError, match=r"postgresql://u:\*\*\*@127\.0\.0\.1:9/db: cannot open"
    ) as raised:
        open_engine("postgresql://u:hunter2@127.0.0.1:9/db")
    assert "check that the server runs" in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_an_unknown_database_on_a_server_is_reported(postgres_server: str) -> None:
    with pytest.raises(StorageError, match='database "nowhere" does not exist'):
        open_engine(postgres_server.replace("/postgres?", "/nowhere?", 1))


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?uri=true"])
def test_sqlite_without_a_plain_file_is_refused(url: str) -> None:
    with pytest.raises(StorageError, match="SQLite needs a plain file"):
        open_engine(url)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=rf"the folder {tmp_path}/no does not exist; make it"):
        open_engine(f"sqlite:///{tmp_path}/no/a.db")


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=rf"is a folder; write sqlite:///{tmp_path}/mlgsearch"):
        open_engine(f"sqlite:///{tmp_path}")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("to be or not to be " * 100)
    with pytest.raises(StorageError, match="file is not a database; name another file"):
        open_engine(f"sqlite:///{path}")
    assert path.read_text().startswith("to be")


def test_reading_needs_a_file_and_makes_none(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"there is no file .*a\.db; `launch` makes"):
        open_engine(f"sqlite:///{tmp_path}/a.db", read_only=True)
    assert not (tmp_path / "a.db").exists()


def test_reading_finds_a_file_with_an_awkward_name(tmp_path: Path) -> None:
    path = tmp_path / "a b#1?%41.db"
    url = f"sqlite:///{tmp_path}/a b#1%3F%2541.db"
    with connected(url) as connection:
        connection.execute(text("CREATE TABLE there (x INTEGER)"))
        connection.commit()
    with connected(url, read_only=True) as connection:
        assert connection.execute(text("SELECT count(*) FROM there")).scalar() == 0
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


def test_sqlite_pragmas(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    wal = sqlite3.connect(path)
    wal.execute("PRAGMA journal_mode = WAL")
    wal.execute("CREATE TABLE t (x)")
    wal.close()
    with connected(f"sqlite:///{path}") as connection:
        pragmas = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "delete", "foreign_keys": 1, "busy_timeout": 60_000}


def test_a_killed_writer_is_explained_to_a_reader(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("PRAGMA cache_size = 1")
    writer.execute("CREATE TABLE t (x)")
    writer.execute("BEGIN")
    writer.executemany("INSERT INTO t VALUES (?)", [("x" * 1000,)] * 1000)
    # What a SIGKILL leaves: a changed file, and beside it the journal that undoes the change.
    crashed = tmp_path / "crashed.db"
    crashed.write_bytes(path.read_bytes())
    Path(f"{crashed}-journal").write_bytes(Path(f"{path}-journal").read_bytes())
    writer.close()
    with pytest.raises(StorageError, match=r"a writer was killed half-way"):
        open_engine(f"sqlite:///{crashed}", read_only=True)
    with connected(f"sqlite:///{crashed}") as connection:
        assert connection.execute(text("SELECT count(*) FROM t")).scalar() == 0


def test_writing_commits_at_the_end_or_not_at_all(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER)"))
        connection.execute(text("INSERT INTO t VALUES (1)"))
    with pytest.raises(DBAPIError), writing(engine) as connection:  # noqa: PT012
        connection.execute(text("INSERT INTO t SELECT 2 UNION SELECT 3"))
        connection.execute(text("INSERT INTO nowhere VALUES (2)"))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT x FROM t")).scalars().all() == [1]


def test_writing_takes_the_lock_before_it_reads(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    engine = open_engine(url)
    impatient = sqlite3.connect(tmp_path / "a.db", timeout=0, isolation_level=None)
    with (
        writing(engine),
        pytest.raises(sqlite3.OperationalError, match="database is locked"),
    ):
        impatient.execute("BEGIN IMMEDIATE")
    impatient.close()
    engine.dispose()


def test_a_server_that_restarted_is_found_again(postgres_server: str) -> None:
    engine = open_engine(postgres_server)
    other = open_engine(postgres_server)
    with engine.connect() as connection:
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar()
    with other.connect() as connection:
        connection.execute(text(f"SELECT pg_terminate_backend({pid}, 5000)"))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1
    engine.dispose()
    other.dispose()


def test_read_only_refuses_writes(engine: Engine, database_url: str) -> None:
    reader = open_engine(database_url, read_only=True)
    with pytest.raises(DBAPIError, match=r"(?i)read[- ]?only"), writing(reader) as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER)"))
    reader.dispose()


def test_quoting_in_a_url_is_undone_for_the_password(postgres_server: str) -> None:
    password = quote("p@ss{%}/", safe="")
    engine = open_engine(postgres_server.replace("postgres:@", f"postgres:{password}@", 1))
    assert engine.url.password == "p@ss{%}/"
    engine.dispose()


def test_a_file_that_must_exist_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    with pytest.raises(StorageError, match="there is no file"):
        open_engine(f"sqlite:///{path}", must_exist=True)
    assert not path.exists()


def test_an_open_file_is_shown_as_its_user_wrote_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a name with 100%.db'}"
    writer = open_engine(url)
    with writer.begin() as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER)"))
    reader = open_engine(url, read_only=True)
    assert shown_url(writer) == shown_url(reader) == url
    writer.dispose()
    reader.dispose()


def test_a_new_file_is_its_users_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        open_engine(f"sqlite:///{tmp_path}/a.db").dispose()
    finally:
        os.umask(before)
    assert (tmp_path / "a.db").stat().st_mode & 0o777 == 0o600
    # One that is there stays as its user made it.
    (tmp_path / "a.db").chmod(0o640)
    open_engine(f"sqlite:///{tmp_path}/a.db").dispose()
    assert (tmp_path / "a.db").stat().st_mode & 0o777 == 0o640
