"""Commands to paste are written as the program was called."""

import sys
from pathlib import Path

import pytest

from mlgsearch.cli.printing.paste import command


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
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [called])
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python3"))
    monkeypatch.setenv("MLGSEARCH_STORAGE", "sqlite:///a.db")
    assert command("sqlite:///a.db", "show", "s", 4) == written
