"""Whether files can be made in a folder, looked at before anything long is done."""

import os
import tempfile
from pathlib import Path

from mlgsearch.errors import UserError


def check_place(directory: Path, variable: str) -> None:
    """See that a folder is there or can be made, and can be written; nothing is made yet.

    Raises:
        UserError: it cannot; the message says which environment variable names another.
    """
    there = next(folder for folder in (directory, *directory.parents) if os.access(folder, os.F_OK))
    if not there.is_dir():
        raise UserError(f"{there} is no folder; let {variable} name another place")
    if not can_be_written(there):
        raise UserError(f"{there} cannot be written; let {variable} name a folder that can")


def check_cache(folder: Path) -> None:
    """See that the cache, or a folder of it, can be written, before something is made for it.

    Where all is found there it may be read only.

    Raises:
        UserError: it cannot.
    """
    check_place(folder, "MLGSEARCH_CACHE")


def can_be_written(folder: Path) -> bool:
    """Return whether files can be made in a folder, by making one that has no name."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
