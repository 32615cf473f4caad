"""Bringing a database to the newest schema, with Alembic."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from mlgsearch.errors import StorageError
from mlgsearch.results.database.connection.engine import shown_url, writing
from mlgsearch.results.database.connection.silence import SILENCE_S
from mlgsearch.results.database.schema import head, refuse_unknown, revision
from mlgsearch.results.database.tables import PREFIX

#: Any constants will do: two drivers that upgrade one database at once take turns on them.
_LOCK_KEY = 0x6D6C67
_MYSQL_LOCK = "CONCAT('mlgsearch.', MD5(DATABASE()))"  # the server's, so one for each database
#: How long it is waited for; the connection is given up a little later.
_MYSQL_WAIT_S = int(SILENCE_S) - 5


def is_ours(name: str | None, kind: str, _parents: Any) -> bool:
    """Make Alembic look at our tables only (its ``include_name`` hook)."""
    return kind != "table" or (name or "").startswith(PREFIX)


def upgrade(engine: Engine) -> None:
    """Bring an empty or older database to the newest schema; a current one is left alone.

    The driver calls it once, before any worker starts. All of it is one transaction, which other
    callers wait for. MySQL commits each change of the schema by itself: there others wait too, but
    what fails half-way leaves what was done.

    Raises:
        StorageError: the schema is newer than this version of mlgsearch, or may not be changed.
    """
    config = alembic_config()
    try:
        with writing(engine) as connection, _alone(connection):
            found = revision(connection)
            refuse_unknown(found, engine)
            if found != head():
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
    except DBAPIError as error:
        raise StorageError(
            f"{shown_url(engine)}: cannot bring the schema to {head()}: {error.orig}"
        ) from error


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """Keep other drivers from upgrading the database; SQLite's writing transaction does so."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK_KEY})"))
    if connection.dialect.name not in ("mysql", "mariadb"):
        yield
        return
    # It belongs to the session, so the commits of each change keep it, and it goes with it.
    lock = text(f"SELECT GET_LOCK({_MYSQL_LOCK}, {_MYSQL_WAIT_S})")
    if connection.execute(lock).scalar() != 1:
        raise StorageError(
            f"{shown_url(connection.engine)}: another process has been bringing the schema up to "
            f"date for {_MYSQL_WAIT_S} s; try again later"
        )
    try:
        yield
    finally:
        if not connection.invalidated:
            connection.execute(text(f"SELECT RELEASE_LOCK({_MYSQL_LOCK})"))


def alembic_config() -> Config:
    """Return Alembic's configuration: where our migrations are."""
    config = Config()
    # Config interpolates its values: a % in the path is doubled.
    folder = str(Path(__file__).parent / "migrations").replace("%", "%%")
    config.set_main_option("script_location", folder)
    return config
