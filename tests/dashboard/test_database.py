"""The database behind the pages, on SQLite and on PostgreSQL."""

import sys
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy.exc import DBAPIError

from dashboard.database import Database, trouble
from mlgsearch.errors import StorageError
from mlgsearch.results.database.connection.storage_url import DEFAULT_STORAGE
from mlgsearch.results.database.store import ResultStore
from tests.results.samples import a_complete, a_study


def test_what_was_read_is_followed_and_nothing_is_written(
    store: ResultStore, database_url: str
) -> None:
    store.create_study(a_study("one"))
    database = Database(database_url)
    before = database.change_token(("one",))
    assert (len(database.studies()), len(database.trials("one"))) == (1, 0)
    store.put_trial("one", a_complete(0, 0.9, 0.1))
    assert len(database.trials("one")) == 1
    assert database.studies()[0].reached.best_accuracy == 0.9
    assert database.change_token(("one",)) != before
    assert database.verifications.verifications("one") == []
    with pytest.raises(DBAPIError) as refused:
        ResultStore(database.engine).delete_study("one")
    assert trouble(refused.value).startswith("the database cannot be read: ")
    database.close()


def test_one_piece_of_news_is_read_once(store: ResultStore, database_url: str) -> None:
    def counted(token: str | None) -> int:
        with Flask("a request").test_request_context():
            if token is not None:
                database.trust("one", token)
            found = database.results("one")
            assert database.results("one") is found
            return len(found.columns)

    store.create_study(a_study("one"))
    database = Database(database_url)
    token = database.change_token(("one",))
    assert counted(token) == 0
    store.put_trial("one", a_complete(0, 0.9, 0.1))
    assert counted(token) == 0  # no page has heard of that trial yet
    assert counted(database.change_token(("one",))) == 1
    store.put_trial("one", a_complete(1, 0.9, 0.1))
    assert counted(None) == counted("") == 2
    database.close()


def test_change_tokens_of_all_studies_tell_the_time_as_well(
    store: ResultStore, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create_study(a_study("one"))
    database = Database(database_url)
    now = 0.0
    monkeypatch.setattr("dashboard.database.time.time", lambda: now)
    before = database.change_token(()), database.change_token(("one",))
    now = 61.0
    after = database.change_token(()), database.change_token(("one",))
    assert after[0] != before[0]
    assert after[1] == before[1]
    database.close()


def test_commands_to_copy(database_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{database_file}"
    database = Database(url)
    program = str(Path(sys.executable).with_name("mlgsearch"))
    monkeypatch.chdir("/")
    assert database.command("show", "a b", 3) == (
        f"{program.removeprefix('/')} show 'a b' 3 --storage {url}"
    )
    database.url = DEFAULT_STORAGE
    assert database.command("show", "--", "-x").endswith("show -- -x")
    database.url = "postgresql://me:secret@host/db"
    assert database.safe_url == "postgresql://me:***@host/db"
    assert database.command("show", "x").endswith("show x")
    database.url = "@/secret/file"
    assert database.command("show", "x").endswith("show x --storage @/secret/file")
    database.close()


def test_another_file_with_no_schema_is_refused(tmp_path: Path, database_file: Path) -> None:
    path = tmp_path / "copy.db"
    path.write_bytes(database_file.read_bytes())
    database = Database(f"sqlite:///{path}")
    path.unlink()
    with pytest.raises(StorageError, match="is gone"):
        database.studies()
    path.write_bytes(b"")
    with pytest.raises(StorageError, match="no mlgsearch tables"):
        database.trials("digits")
    path.write_bytes(database_file.read_bytes())
    assert len(database.trials("digits")) == 40
    database.close()
