"""Commands to paste are written as the program was called."""

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mlgsearch.cli.app import app
from mlgsearch.cli.printing.paste import command
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.store import ResultStore
from tests.results.samples import a_study
from tests.study.driverless import empty_database


def call_as(called: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder as the program of a name, with a Python that is there."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", [called])
    monkeypatch.setattr(sys, "executable", str(folder / "python3"))


@pytest.mark.parametrize(
    ("called", "written"),
    [
        ("search.py", "python3 search.py show s 4"),
        ("/usr/bin/mlgsearch", "mlgsearch show s 4"),
        ("/lib/mlgsearch/__main__.py", "python3 -m mlgsearch show s 4"),
    ],
)
def test_a_command_is_written_as_it_was_called(
    called: str, written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call_as(called, tmp_path, monkeypatch)
    monkeypatch.setenv("MLGSEARCH_STORAGE", "sqlite:///a.db")
    assert command("sqlite:///a.db", "show", "s", 4) == written


@pytest.mark.parametrize(
    ("called", "program"),
    [("search.py", "python3 search.py"), ("/usr/bin/mlgsearch", "mlgsearch")],
)
def test_what_to_run_next_is_written_as_the_program_was_called(
    called: str, program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call_as(called, tmp_path, monkeypatch)
    url = f"sqlite:///{tmp_path}/a.db"
    monkeypatch.setenv("MLGSEARCH_STORAGE", url)
    (tmp_path / "a.db").write_bytes(empty_database())
    listed = CliRunner().invoke(app, ["list"])
    assert listed.stdout == f"No studies yet; start one with: {program} launch FILE\n"

    engine = open_engine(url)
    ResultStore(engine).create_study(a_study(name="it's"))
    engine.dispose()
    front = CliRunner().invoke(app, ["front", "it's", "--verified"])
    said = f"no trial of \"it's\" is verified yet; `{program} verify 'it'\"'\"'s'` trains"
    assert said in str(front.exception)


@pytest.mark.parametrize("called", ["search.py", "/usr/bin/mlgsearch"])
def test_messages_of_the_lower_floors_name_the_command_alone(
    called: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [called])
    missing = CliRunner().invoke(app, ["list", "--storage", f"sqlite:///{tmp_path}/none.db"])
    assert "; `launch` makes one, or name" in str(missing.exception)
    (tmp_path / "a.db").write_bytes(b"")
    empty = CliRunner().invoke(app, ["list", "--storage", f"sqlite:///{tmp_path}/a.db"])
    assert "; `launch` makes them, or name" in str(empty.exception)
