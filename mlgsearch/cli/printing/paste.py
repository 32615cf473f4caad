"""Commands that a user can paste."""

import contextlib
import sys
from pathlib import Path

from mlgsearch.results.database.connection.storage_url import command_line


def command(storage: str, *words: str | int) -> str:
    """Write a command of this program as it was called, with the database where it is not usual.

    A password in the database's URL is not shown.
    """
    return command_line(_program(), words, storage, masks_password=True)


def _program() -> str:
    called = Path(sys.argv[0])
    if called.name not in ("search.py", "__main__.py"):
        return called.name
    python = Path(sys.executable)
    with contextlib.suppress(ValueError):
        python = python.relative_to(Path.cwd())
    return f"{python} {called if called.name == 'search.py' else '-m mlgsearch'}"
