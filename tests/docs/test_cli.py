"""The page of the command line lists every command with every option, and no other."""

import re
from pathlib import Path

import pytest

from mlgsearch.cli.app import COMMANDS as LAZY
from mlgsearch.cli.commands.front import Format
from mlgsearch.results.database.connection.storage_url import DEFAULT_STORAGE

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "cli.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "benchmarks/README.md"]
SECTIONS = dict(re.findall(r"^## `(\w+)[^\n]*`\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))
COMMANDS = {str(command.name): command.load() for command in LAZY}


def test_every_command_has_its_section() -> None:
    assert list(SECTIONS) == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_listed_and_no_other(name: str) -> None:
    options = [p.opts for p in COMMANDS[name].params if p.param_type_name == "option"]
    rows = re.findall(r"^\| (`-[^|]*) \|", SECTIONS[name], re.MULTILINE)
    assert [re.findall(r"-[\w-]+", row) for row in rows] == options


@pytest.mark.parametrize("name", COMMANDS)
def test_the_heading_names_every_argument(name: str) -> None:
    arguments = [p for p in COMMANDS[name].params if p.param_type_name == "argument"]
    heading = re.search(rf"^## `{name}(.*)`$", PAGE, re.MULTILINE)
    assert heading is not None
    assert heading[1].split() == [argument.metavar for argument in arguments]


def test_defaults_and_formats_are_the_apps() -> None:
    assert f"`{DEFAULT_STORAGE}`" in PAGE
    assert "130 stopped by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP" in PAGE
    assert all(f"`{choice.value}`" in SECTIONS["front"] for choice in Format)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_command_is_written_with_python(page: Path) -> None:
    """In a checkout; `mlgsearch` is the command where the package is installed."""
    assert re.findall(r"(?<!python )(?<![\w/])search\.py [a-z]\w*", page.read_text()) == []
