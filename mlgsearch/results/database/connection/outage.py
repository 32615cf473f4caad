"""Troubles of a database that pass by themselves: it is away, locked, or its disk is full."""

from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError

from mlgsearch.results.database.connection.silence import shorten_silence

#: How long a driver waits for a server that says nothing, behind its wait for a lock; and for a
#: connection.
_SILENCE_S, _CONNECT_S = 3.0, 3
#: SQLite's names of errors (their beginnings) that pass, and what to say of them.
_SQLITE = {
    "SQLITE_BUSY": "another process holds it",
    "SQLITE_LOCKED": "another process holds it",
    "SQLITE_FULL": "its disk is full",
    "SQLITE_IOERR": "its disk does not answer",
    "SQLITE_CANTOPEN": "its file cannot be opened",
    "SQLITE_READONLY": "it takes no writes at present",
}
#: The same by SQLSTATE, as PostgreSQL gives it.
_SQLSTATE = {
    "08": "it is away",
    "25006": "it takes no writes at present",
    "25P03": "it closed the connection",
    "25P04": "it closed the connection",
    "40": "another process holds it",
    "53100": "its disk is full",
    "53": "it has no room",
    "55P03": "another process holds it",
    "57014": "it cancelled a statement",
    "57P": "it is away",
    "58030": "its disk does not answer",
}
#: Errors that stay until somebody does something, in the same ways.
_REFUSALS_SQLITE = {
    "SQLITE_CORRUPT": "its file is damaged",
    "SQLITE_NOTADB": "its file is no database any more",
    "SQLITE_PERM": "its file may not be read",
}
_REFUSALS_SQLSTATE = {
    "28": "it does not let this user in",
    "3D000": "it has no such database any more",
    "42501": "its user may not do that",
    "42P01": "a table is missing",
    "42703": "a column is missing",
}
#: The same by MySQL's numbers.
_MYSQL = {
    1021: "its disk is full",
    1040: "it has no room",
    1053: "it is away",
    1114: "its disk is full",
    1205: "another process holds it",
    1213: "another process holds it",
    2002: "it is away",
    2003: "it is away",
    2006: "it is away",
    2013: "it is away",
}


def outage(error: DBAPIError) -> str | None:
    """Say in a few words why the database cannot be written now; None where waiting is no help."""
    original: Any = error.orig
    found = None
    name = getattr(original, "sqlite_errorname", None)
    if name is not None:
        found = next((text for key, text in _SQLITE.items() if name.startswith(key)), None)
    elif hasattr(original, "sqlstate"):  # psycopg's; None where no server answered
        state = original.sqlstate
        if state is None:
            kinds = {kind.__name__ for kind in type(original).__mro__}  # a timeout is one of them
            is_gone = error.connection_invalidated or "OperationalError" in kinds
            found = "it is away" if is_gone else None
        else:
            found = next((text for key, text in _SQLSTATE.items() if state.startswith(key)), None)
    elif original is not None and original.args:
        found = _MYSQL.get(original.args[0])
    if found is None:
        return None
    return f"{found} ({' '.join(str(original).split())})"


def refusal(error: DBAPIError) -> str | None:
    """Say in a few words what must be put right before the database can be used; else None."""
    original: Any = error.orig
    name = getattr(original, "sqlite_errorname", None)
    state = getattr(original, "sqlstate", None)
    found = None
    if name is not None:
        found = next((text for key, text in _REFUSALS_SQLITE.items() if name.startswith(key)), None)
        if found is None and "no such table" in str(original):
            found = "a table is missing"
    elif state is not None:
        matches = (text for key, text in _REFUSALS_SQLSTATE.items() if state.startswith(key))
        found = next(matches, None)
    return None if found is None else f"{found} ({' '.join(str(original).split())})"


def limit_waits(engine: Engine, wait_s: float) -> None:
    """Let this process wait no longer than that for a lock of another's, then raise.

    A driver has workers to attend to meanwhile; it comes back later. For a server that says nothing
    it waits 3 s more, and as long to be connected.
    """
    if engine.dialect.name == "postgresql":
        shorten_silence(engine, wait_s + _SILENCE_S, _CONNECT_S)
    milliseconds = int(wait_s * 1000)

    # Before all else that is done with a new connection, for that may wait as well.
    @event.listens_for(engine, "connect", insert=True)
    def _connected(connection: Any, _record: object) -> None:
        if engine.dialect.name == "sqlite":
            connection.execute(f"PRAGMA busy_timeout = {milliseconds}")
        elif engine.dialect.name == "postgresql":
            connection.execute(f"SET lock_timeout = {milliseconds}")
            connection.commit()

    engine.dispose()
