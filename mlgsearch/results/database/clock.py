"""The database's clock: the one clock that all drivers of a study share."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Double, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction


class DatabaseClock(GenericFunction[float]):
    """Seconds since 1970 by the database's clock, at the moment the row is looked at."""

    type = Double()
    inherit_cache = True
    name = "mlg_clock"


def database_now(connection: Connection) -> datetime:
    """Return the present by the database's clock; on SQLite it is good to a millisecond."""
    return datetime.fromtimestamp(connection.execute(select(DatabaseClock())).scalar_one(), UTC)


@compiles(DatabaseClock, "sqlite")
def _sqlite_clock(_clock: DatabaseClock, _compiler: SQLCompiler, **_: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(DatabaseClock, "postgresql")
def _postgresql_clock(_clock: DatabaseClock, _compiler: SQLCompiler, **_: Any) -> str:
    # Not now(): that is the time of the transaction's beginning, through a wait for a lock.
    return "CAST(extract(epoch FROM clock_timestamp()) AS double precision)"


@compiles(DatabaseClock, "mysql", "mariadb")
def _mysql_clock(_clock: DatabaseClock, _compiler: SQLCompiler, **_: Any) -> str:
    return "(timestampdiff(MICROSECOND, '1970-01-01', utc_timestamp(6)) / 1e6)"
