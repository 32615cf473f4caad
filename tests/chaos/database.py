"""Real databases that a campaign takes away from a study, and gives back."""

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from tests.postgres import get_server, url_of


class ChaosDatabase(Protocol):
    """A database of a study's own."""

    url: str

    def away(self) -> AbstractContextManager[None]:
        """Take it away from everybody, for as long as the context lasts."""


@contextmanager
def open_database(kind: str, folder: Path) -> Iterator[ChaosDatabase]:
    """Make a database in a folder, or find the one that is there, and stop it at the end."""
    if kind == "sqlite":
        yield SqliteFile(folder / "a.db")
        return
    server = PostgresServer(folder / "postgresql")
    try:
        yield server
    finally:
        server.stop()


class SqliteFile:
    """An SQLite file, taken away by a lock such as another process may hold."""

    def __init__(self, path: Path):
        self._path = path
        self.url = f"sqlite:///{path}"

    @contextmanager
    def away(self) -> Iterator[None]:
        """Hold the lock."""
        other = sqlite3.connect(self._path, isolation_level=None, timeout=60)
        other.execute("BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            other.close()


class PostgresServer:
    """A PostgreSQL server from a wheel, taken away by stopping it."""

    def __init__(self, folder: Path):
        folder.mkdir(exist_ok=True)
        self._server = get_server(folder, cleanup_mode="stop")
        self.url = url_of(self._server)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Stop the server: whoever is connected is thrown out."""
        self._server.stop()
        try:
            yield
        finally:
            self._server.start()

    def stop(self) -> None:
        """Stop it for good; what it holds stays."""
        self._server.cleanup()
