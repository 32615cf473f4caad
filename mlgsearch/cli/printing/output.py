"""Where commands read from and write to."""

import sys
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from mlgsearch.errors import UserError
from mlgsearch.results.trial_fields import to_json

#: Columns of what goes to a pipe or a file: a table cut to 80 is of no use to grep.
WHOLE_LINES = 1000


def stdout_console() -> Console:
    """Return the console of stdout."""
    return Console(width=None if sys.stdout.isatty() else WHOLE_LINES)


def print_json(fields: dict[str, Any]) -> None:
    """Write one object on one line."""
    typer.echo(to_json(fields))


def write_text(path: Path, text: str) -> None:
    """Write a file.

    Raises:
        UserError: it cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None
