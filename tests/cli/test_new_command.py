"""A file with a function, and a line in the table: that is a command."""

import pytest
import typer
from typer.testing import CliRunner

from mlgsearch.cli import app as app_module
from mlgsearch.cli.app import app
from mlgsearch.cli.lazy_command import LazyCommand
from mlgsearch.errors import UserError


def count_images(folder: str, limit: int = 10) -> None:
    """Count the images of a folder."""
    if folder == "none":
        raise UserError("none: no folder")
    typer.echo(f"{folder}: at most {limit}")


@pytest.fixture(autouse=True)
def with_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    line = LazyCommand("count", f"{__name__}:count_images", "Count the images of a folder.")
    monkeypatch.setattr(app_module, "COMMANDS", (*app_module.COMMANDS, line))


def test_it_runs_with_its_options() -> None:
    done = CliRunner().invoke(app, ["count", "images", "--limit", "3"])
    assert (done.exit_code, done.stdout) == (0, "images: at most 3\n")


def test_help_lists_it_and_prints_its_own() -> None:
    assert "Count the images of a folder." in CliRunner().invoke(app, ["--help"]).stdout
    assert "--limit" in CliRunner().invoke(app, ["count", "--help"]).stdout


def test_a_users_mistake_is_a_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["search.py", "count", "none"])
    with pytest.raises(SystemExit) as caught:
        app_module.main()
    assert caught.value.code == 2
    assert capsys.readouterr().err == "error: none: no folder\n"
