"""Whether a SQLite database is still the file that was opened."""

import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from sqlalchemy import Engine, event
from sqlalchemy.exc import DisconnectionError


class FileIdentity:
    """The file behind an engine at the moment of construction; nothing where it is a server's.

    A process that has a file open goes on to write to it after it was moved away, and to none that
    was put in its place.
    """

    def __init__(self, engine: Engine) -> None:
        self._path = path_of(engine)
        self._known = None if self._path is None else identity_of(self._path)

    def loss(self) -> str | None:
        """Return in a few words what became of the file; None while it is the same."""
        if self._path is None or self._known is None:
            return None
        now = identity_of(self._path)
        if now is None:
            return f"the database file {self._path} is gone"
        if now != self._known:
            return f"the database file {self._path} was replaced by another"
        return None


def reopen_replaced(engine: Engine) -> None:
    """Make an engine of a file open the file that is there now, and create none where it is gone.

    A pooled connection would keep a file that was moved away or replaced: it reads stale rows, and
    SQLite refuses its writes forever.
    """
    path = path_of(engine)
    if path is None:
        return

    @event.listens_for(engine, "do_connect", insert=True)
    def _connect(_dialect: Any, record: Any, _arguments: Any, _options: Any) -> None:
        if (identity := identity_of(path)) is None:
            error = sqlite3.OperationalError(f"the file {path} is gone")
            error.sqlite_errorname = "SQLITE_CANTOPEN"
            raise error
        record.info["file"] = identity

    @event.listens_for(engine, "checkout")
    def _checkout(_connection: Any, record: Any, _proxy: Any) -> None:
        if record.info.get("file") != identity_of(path):
            raise DisconnectionError(f"the file {path} was replaced")

    engine.dispose()


def path_of(engine: Engine) -> Path | None:
    """Return the file behind an engine, which may be open for reading; None for a server."""
    if engine.dialect.name != "sqlite" or not engine.url.database:
        return None
    return Path(file_name(engine)).absolute()


def file_name(engine: Engine) -> str:
    """Return the name of the SQLite file behind an engine as its user wrote it; may be empty."""
    name = engine.url.database or ""
    return unquote(name.removeprefix("file:")) if name.startswith("file:") else name


def identity_of(path: Path) -> tuple[int, int] | None:
    """Return device and inode of a file; None where it is gone."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
