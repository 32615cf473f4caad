"""Where commands write."""

import sys
from typing import Any

import typer
from rich.console import Console

from mlgsearch.cli.events import to_json

#: Columns of what goes to a pipe or a file: a table cut to 80 is of no use to grep.
WHOLE_LINES = 1000


def stdout_console() -> Console:
    """Give the console of stdout."""
    return Console(width=None if sys.stdout.isatty() else WHOLE_LINES)


def print_json(fields: dict[str, Any]) -> None:
    """Write one object on one line."""
    typer.echo(to_json(fields))
