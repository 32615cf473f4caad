"""Commands that a user can paste."""

import contextlib
import os
import shlex
import sys
from pathlib import Path

from mlgsearch.cli.options import DEFAULT_STORAGE
from mlgsearch.results.database.storage_url import safe_url


def command(storage: str, *words: str | int) -> str:
    """Write a command of this program as it was called, with the database where it is not usual.

    A password in the database's URL is not shown.
    """
    known = (DEFAULT_STORAGE, os.environ.get("MLGSEARCH_STORAGE"))
    shown = storage if storage.startswith("@") else safe_url(storage)
    options = () if storage in known else ("--storage", shown)
    return f"{_program()} {shlex.join(map(str, (*words, *options)))}"


def _program() -> str:
    called = Path(sys.argv[0])
    if called.name != "search.py":
        return called.name
    python = Path(sys.executable)
    with contextlib.suppress(ValueError):
        python = python.relative_to(Path.cwd())
    return f"{python} {called}"
