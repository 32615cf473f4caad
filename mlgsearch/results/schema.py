"""Bringing a database to the schema this version knows, or saying that it is not there."""

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from mlgsearch.errors import StorageError
from mlgsearch.results.engine import shown_url, writing
from mlgsearch.results.tables import PREFIX

#: Optuna keeps its own ``alembic_version`` in the same database.
VERSION_TABLE = "mlg_alembic_version"

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
    config = _config()
    try:
        with writing(engine) as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK_KEY})"))
            found = _revision(connection)
            _refuse_unknown(found, engine)
            if found != head():
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
    except DBAPIError as error:
        raise StorageError(
            f"{shown_url(engine)}: cannot bring the schema to {head()}: {error.orig}"
        ) from error


def check(engine: Engine) -> None:
    """Make sure that the database has exactly the schema this version reads and writes.

    Raises:
        StorageError: the schema is missing, older or newer; the message says what to do.
    """
    with engine.connect() as connection:
        found = _revision(connection)
    if found is None:
        raise StorageError(
            f"{shown_url(engine)}: this database has no mlgsearch tables yet; "
            "`search.py launch` makes them, or name the database of an earlier study"
        )
    _refuse_unknown(found, engine)
    if found != head():
        raise StorageError(
            f"{shown_url(engine)}: the schema is {found}, this version needs {head()}; "
            "`search.py launch` or `resume` brings it up to date"
        )


def head() -> str:
    """Give the newest revision this version of mlgsearch knows."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None, "migrations/versions is empty"
    return revision


def _config() -> Config:
    config = Config()
    # Config interpolates its values: a % in the path stands doubled.
    folder = str(Path(__file__).parent / "migrations").replace("%", "%%")
    config.set_main_option("script_location", folder)
    return config


def _revision(connection: Connection) -> str | None:
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    return context.get_current_revision()


def _refuse_unknown(found: str | None, engine: Engine) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found is not None and found not in known:
        raise StorageError(
            f"{shown_url(engine)}: the schema is {found}, newer than the {head()} that this "
            "version of mlgsearch knows; upgrade mlgsearch, or use another database"
        )
