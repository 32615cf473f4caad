"""Whether a database has the schema this version knows.

Alembic, which `mlgsearch.results.database.migrate` runs, takes longer to load than most commands
take; comparing revisions does not need it.
"""

from pathlib import Path

from sqlalchemy import Connection, Engine, String, column, inspect, select, table

from mlgsearch.errors import StorageError
from mlgsearch.results.database.connection.engine import shown_url

#: Optuna keeps its own ``alembic_version`` in the same database.
VERSION_TABLE = "mlg_alembic_version"

#: Every revision under ``migrations/versions``, oldest first.
REVISIONS = tuple(
    sorted(path.name[1:5] for path in (Path(__file__).parent / "migrations/versions").glob("v*.py"))
)


def check(engine: Engine) -> None:
    """Make sure that the database has exactly the schema this version reads and writes.

    Raises:
        StorageError: the schema is missing, older or newer; the message says what to do.
    """
    with engine.connect() as connection:
        found = revision(connection)
    if found is None:
        raise StorageError(
            f"{shown_url(engine)}: this database has no mlgsearch tables yet; "
            "`launch` makes them, or name the database of an earlier study"
        )
    refuse_unknown(found, engine)
    if found != head():
        raise StorageError(
            f"{shown_url(engine)}: the schema is {found}, this version needs {head()}; "
            "`launch` or `resume` brings it up to date"
        )


def head() -> str:
    """Return the newest revision this version of mlgsearch knows."""
    return REVISIONS[-1]


def revision(connection: Connection) -> str | None:
    """Return the revision of a database; None where it has no tables of ours."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    number = column("version_num", String)
    found: str | None = connection.execute(
        select(number).select_from(table(VERSION_TABLE))
    ).scalar()
    return found


def refuse_unknown(found: str | None, engine: Engine) -> None:
    """Refuse a revision that a later version of mlgsearch made.

    Raises:
        StorageError: it is unknown here.
    """
    if found is not None and found not in REVISIONS:
        raise StorageError(
            f"{shown_url(engine)}: the schema is {found}, newer than the {head()} that this "
            "version of mlgsearch knows; upgrade mlgsearch, or use another database"
        )
