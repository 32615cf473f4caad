"""The databases that a command opens; they are closed where it ends."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from mlgsearch.results.database.store import ResultStore

_opened: "list[Engine]" = []


def open_store(storage: str) -> "tuple[Engine, ResultStore]":
    """Open a database to read what is stored.

    Raises:
        StorageError: it is not there, or not ours.
    """
    from mlgsearch.results.database import schema  # loads SQLAlchemy
    from mlgsearch.results.database.connection.engine import open_engine
    from mlgsearch.results.database.store import ResultStore

    engine = open_engine(storage, read_only=True)
    _opened.append(engine)
    schema.check(engine)
    return engine, ResultStore(engine)


def open_to_write(storage: str, *, must_exist: bool = True) -> "Engine":
    """Open a database to write to.

    Raises:
        StorageError: it cannot be opened, or is not there although it must be.
    """
    from mlgsearch.results.database.connection.engine import open_engine  # loads SQLAlchemy

    engine = open_engine(storage, must_exist=must_exist)
    _opened.append(engine)
    return engine


def close_databases() -> None:
    """Close the connections of all that were opened."""
    while _opened:
        _opened.pop().dispose()
