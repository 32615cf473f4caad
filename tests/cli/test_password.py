"""A database's password on the way through the command line."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from mlgsearch.cli.app import app
from mlgsearch.cli.printing.paste import command
from mlgsearch.errors import StorageError

#: Nobody listens there.
URL = "postgresql://ann:hunter2@127.0.0.1:9/db"


def run(*arguments: str, storage: str | None = None) -> tuple[str, str]:
    """Return what is written, and the error; neither may hold the password."""
    environment = {"MLGSEARCH_STORAGE": storage}
    done = CliRunner().invoke(app, ["list", *arguments], env=environment)
    assert isinstance(done.exception, StorageError)
    assert "hunter2" not in done.output + done.stderr + str(done.exception)
    return done.stderr, str(done.exception)


@pytest.mark.parametrize("url", [URL, "postgresql://127.0.0.1:9/db?user=ann&password=hunter2"])
def test_one_that_is_typed_is_warned_of(url: str) -> None:
    written, error = run("--storage", url)
    assert written.count("\n") == 1
    assert written.startswith("warning: every user of this machine can read the password")
    assert "cannot open the database" in error


def test_one_from_the_environment_or_a_file_is_not(tmp_path: Path) -> None:
    (tmp_path / "url").write_text(URL)
    (tmp_path / "url").chmod(0o600)
    for written, error in (
        run(storage=URL),
        run("--storage", f"@{tmp_path}/url"),
        run(storage=f"@{tmp_path}/url"),
    ):
        assert not written
        assert error.startswith("postgresql://ann:***@127.0.0.1:9/db: cannot open the database")


@pytest.mark.parametrize("mode", [0o640, 0o644])
def test_one_in_a_file_that_others_can_read_is_warned_of(tmp_path: Path, mode: int) -> None:
    (tmp_path / "url").write_text(URL)
    (tmp_path / "url").chmod(mode)
    for written, error in (
        run("--storage", f"@{tmp_path}/url"),
        run(storage=f"@{tmp_path}/url"),
    ):
        assert written == (
            f"warning: other users of this machine can read the password in {tmp_path}/url "
            f"(mode {mode:03o}); chmod 600 {tmp_path}/url\n"
        )
        assert "cannot open the database" in error


def test_a_file_that_everybody_may_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "url").write_text(URL)
    (tmp_path / "url").chmod(0o666)
    _, error = run("--storage", f"@{tmp_path}/url")
    assert f"every user of this machine may write {tmp_path}/url (mode 666)" in error


def test_a_file_without_one_is_not(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://ann@127.0.0.1:9/db")
    (tmp_path / "url").chmod(0o644)
    assert run("--storage", f"@{tmp_path}/url")[0] == ""


def test_a_url_without_one_is_not() -> None:
    assert run("--storage", "postgresql://ann@127.0.0.1:9/db")[0] == ""


def test_what_a_user_may_paste_names_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLGSEARCH_STORAGE", "")
    assert command("@/home/a b/url", "list").endswith("list --storage '@/home/a b/url'")
    assert command(URL, "list").endswith("list --storage 'postgresql://ann:***@127.0.0.1:9/db'")
    monkeypatch.setenv("MLGSEARCH_STORAGE", URL)
    assert command(URL, "list").endswith("list")
