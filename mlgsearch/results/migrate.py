"""Bringing a database to the newest schema, with Alembic."""

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from mlgsearch.errors import StorageError
from mlgsearch.results.engine import shown_url, writing
from mlgsearch.results.schema import head, refuse_unknown, revision
from mlgsearch.results.tables import PREFIX

#: Any constant will do: two drivers that upgrade one PostgreSQL at once take turns on it.
_LOCK_KEY = 0x6D6C67


def is_ours(name: str | None, kind: str, _parents: Any) -> bool:
    """Tell Alembic to look at our tables only (its ``include_name`` hook)."""
    return kind != "table" or (name or "").startswith(PREFIX)


def upgrade(engine: Engine) -> None:
    """Bring an empty or older database to the newest schema; a current one is left alone.

    The driver calls it once, before any worker starts. All of it is one transaction, which other
    callers wait for (MySQL commits each change of the schema by itself: one driver at a time).

    Raises:
        StorageError: the schema is newer than this version of mlgsearch, or may not be changed.
    """
    config = alembic_config()
    try:
        with writing(engine) as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK_KEY})"))
            found = revision(connection)
            refuse_unknown(found, engine)
            if found != head():
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
    except DBAPIError as error:
        raise StorageError(
            f"{shown_url(engine)}: cannot bring the schema to {head()}: {error.orig}"
        ) from error


def alembic_config() -> Config:
    """Give Alembic's configuration: where our migrations are."""
    config = Config()
    # Config interpolates its values: a % in the path stands doubled.
    folder = str(Path(__file__).parent / "migrations").replace("%", "%%")
    config.set_main_option("script_location", folder)
    return config
