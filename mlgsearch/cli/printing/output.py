"""Where commands read from and write to."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from mlgsearch.errors import UserError
from mlgsearch.results.trial_fields import to_json

#: Columns of what goes to a pipe or a file: a table cut to 80 is of no use to grep.
WHOLE_LINES = 1000


def stdout_console() -> Console:
    """Return the console of stdout."""
    return Console(width=None if sys.stdout.isatty() else WHOLE_LINES)


def plain_table(
    columns: Iterable[str],
    *,
    left: Iterable[str] = (),
    title: str | None = None,
    caption: str | None = None,
) -> Table:
    """Return a table without rows; its columns are right-aligned, but for those in ``left``."""
    table = Table(
        title=title, caption=caption, box=SIMPLE, title_justify="left", caption_justify="left"
    )
    for name in columns:
        table.add_column(name, justify="left" if name in left else "right")
    return table


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
