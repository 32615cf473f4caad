from pathlib import Path

import pytest

from mlgsearch.errors import StorageError
from mlgsearch.paths import runs_directory
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.connection.storage_url import (
    DEFAULT_STORAGE,
    command_line,
    safe_url,
    storage_url,
)


def test_a_url_is_itself() -> None:
    assert storage_url("sqlite:///a@b.db") == "sqlite:///a@b.db"


def test_a_file_may_hold_the_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLGSEARCH_RUNS", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    url = f"sqlite:///{tmp_path}/a.db"
    (tmp_path / "url").write_text(f"{url}\n\n")
    assert storage_url("@~/url") == storage_url(f"@{tmp_path}/url") == url
    assert runs_directory("@~/url") == tmp_path / "a.db.runs"
    engine = open_engine("@~/url")
    assert engine.url.database == str(tmp_path / "a.db")
    engine.dispose()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "must hold a database URL on one line"),
        (b"postgresql://u:hunter2@h/d\nsqlite:///a.db\n", "must hold a database URL on one line"),
        (b"@hunter2", "must hold a database URL on one line"),
        (b"\xff\xfehunter2", "holds no text"),
    ],
)
def test_what_is_wrong_with_the_file_is_told_but_not_what_it_holds(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    path = tmp_path / "url"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StorageError, match=said) as raised:
        storage_url(f"@{path}")
    assert str(raised.value).startswith(f"@{path}: {path} ")
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("around", ["\n", " \r\n", ""])
def test_space_around_it_is_left_out(around: str) -> None:
    assert storage_url(f"{around}sqlite:///a.db{around}") == "sqlite:///a.db"


def test_a_home_is_written_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLGSEARCH_RUNS", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert storage_url("sqlite:///~/a.db") == f"sqlite:///{tmp_path}/a.db"
    assert storage_url("sqlite+pysqlite:///~/a.db?x=1") == f"sqlite+pysqlite:///{tmp_path}/a.db?x=1"
    assert runs_directory("sqlite:///~/a.db") == tmp_path / "a.db.runs"
    (tmp_path / "url").write_text("sqlite:///~/a.db\n")
    assert storage_url("@~/url") == f"sqlite:///{tmp_path}/a.db"
    for other in ("sqlite:///a~/b.db", "sqlite:////~/b.db", "postgresql://u:p@h/~"):
        assert storage_url(other) == other
    open_engine("sqlite:///~/a.db").dispose()
    assert (tmp_path / "a.db").is_file()
    with pytest.raises(StorageError, match="sqlite:///~no-such-user-at-all/"):
        storage_url("sqlite:///~no-such-user-at-all/a.db")


def test_no_more_is_read_of_an_endless_file_than_a_url_may_have() -> None:
    with pytest.raises(StorageError, match="not a database URL"):
        open_engine("@/dev/zero")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///a.db", "sqlite:///a.db"),
        ("sqlite:////tmp/a:b@c.db", "sqlite:////tmp/a:b@c.db"),
        ("postgresql://host:5432/db", "postgresql://host:5432/db"),
        ("postgresql://host:5432", "postgresql://host:5432"),
        ("postgresql://[::1]:5432/db", "postgresql://[::1]:5432/db"),
        ("postgresql://u@host/db", "postgresql://u@host/db"),
        ("postgresql://u:hunter2@host/db", "postgresql://u:***@host/db"),
        ("postgresql://u:h:u@n/t@er2@host:1/db?x=1", "postgresql://u:***@host:1/db?x=1"),
        ("postgresql+psycopg://:hunter2@/db?host=/tmp", "postgresql+psycopg://:***@/db?host=/tmp"),
        ("mysql://h/d?user=u&password=hunter2&x=1", "mysql://h/d?user=u&password=***&x=1"),
        ("postgresql://h/d?sslPassword=hunter2", "postgresql://h/d?sslPassword=***"),
        ("postgresql://h/d?passwd=hun@ter2", "postgresql://h/d?passwd=***"),
        ("postgresql://u:hunter2/db", "postgresql://u:***/db"),
        ("postgresql://u:hun?ter2/db", "postgresql://u:***/db"),
        ("postgresql://u@x:hunter2@host/db", "postgresql://u@x:***@host/db"),
        ("rubbish", "rubbish"),
        ("postgresql//u:hunter2@host/db", "postgresql//u:***@host/db"),
        ("u:hun@ter2@host/db?password=x", "u:***@host/db?password=***"),
    ],
)
def test_safe_url_hides_passwords_only(url: str, shown: str) -> None:
    assert safe_url(url) == shown


@pytest.mark.parametrize(
    ("usual", "storage", "shown"),
    [
        (None, DEFAULT_STORAGE, "mlgsearch resume s"),
        (None, "sqlite:///b.db", "mlgsearch resume s --storage sqlite:///b.db"),
        ("sqlite:///b.db", "sqlite:///b.db", "mlgsearch resume s"),
        # In that shell the default is another database.
        ("sqlite:///b.db", DEFAULT_STORAGE, f"mlgsearch resume s --storage {DEFAULT_STORAGE}"),
    ],
)
def test_a_command_to_paste_names_the_database_unless_the_shell_does(
    monkeypatch: pytest.MonkeyPatch, usual: str | None, storage: str, shown: str
) -> None:
    monkeypatch.delenv("MLGSEARCH_STORAGE", raising=False)
    if usual is not None:
        monkeypatch.setenv("MLGSEARCH_STORAGE", usual)
    assert command_line("mlgsearch", ["resume", "s"], storage, masks_password=True) == shown
