"""What is wrong with a database: it is away, locked, full, or must be put right by somebody."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy.exc import DBAPIError


class Trouble(NamedTuple):
    """What an error says of the database, and whether it passes by itself."""

    said: str
    passes: bool = True


_AWAY = Trouble("it is away")
_CANCELLED = Trouble("it cancelled a statement")
_CLOSED = Trouble("it closed the connection")
_DISK_FULL = Trouble("its disk is full")
_DISK_SILENT = Trouble("its disk does not answer")
_HELD = Trouble("another process holds it")
_NO_ROOM = Trouble("it has no room")
_READ_ONLY = Trouble("it takes no writes at present")

_COLUMN_MISSING = Trouble("a column is missing", passes=False)
_DATABASE_GONE = Trouble("it has no such database any more", passes=False)
_FORBIDDEN = Trouble("its user may not do that", passes=False)
_STRANGER = Trouble("it does not let this user in", passes=False)
_TABLE_MISSING = Trouble("a table is missing", passes=False)

#: By the beginnings of SQLite's names of errors.
_SQLITE = {
    "SQLITE_BUSY": _HELD,
    "SQLITE_LOCKED": _HELD,
    "SQLITE_FULL": _DISK_FULL,
    "SQLITE_IOERR": _DISK_SILENT,
    "SQLITE_CANTOPEN": Trouble("its file cannot be opened"),
    "SQLITE_READONLY": _READ_ONLY,
    "SQLITE_CORRUPT": Trouble("its file is damaged", passes=False),
    "SQLITE_NOTADB": Trouble("its file is no database any more", passes=False),
    "SQLITE_PERM": Trouble("its file may not be read", passes=False),
}
#: By SQLite's words, where all that it has is its name for errors of every kind.
_SQLITE_WORDS = {
    "no such table": _TABLE_MISSING,
    "no such column": _COLUMN_MISSING,
    "has no column named": _COLUMN_MISSING,
}
#: By the beginnings of SQLSTATE, as PostgreSQL gives it; the first that fits counts.
_SQLSTATE = {
    "08": _AWAY,
    "25006": _READ_ONLY,
    "25P03": _CLOSED,
    "25P04": _CLOSED,
    "28": _STRANGER,
    "3D000": _DATABASE_GONE,
    "40": _HELD,
    "42501": _FORBIDDEN,
    "42703": _COLUMN_MISSING,
    "42P01": _TABLE_MISSING,
    "53100": _DISK_FULL,
    "53": _NO_ROOM,
    "55P03": _HELD,
    "57014": _CANCELLED,
    "57P": _AWAY,
    "58030": _DISK_SILENT,
}
#: By MySQL's numbers.
_MYSQL = {
    1021: _DISK_FULL,
    1040: _NO_ROOM,
    1044: _STRANGER,
    1045: _STRANGER,
    1049: _DATABASE_GONE,
    1053: _AWAY,
    1054: _COLUMN_MISSING,
    1114: _DISK_FULL,
    1142: _FORBIDDEN,
    1143: _FORBIDDEN,
    1146: _TABLE_MISSING,
    1203: _NO_ROOM,
    1205: _HELD,
    1213: _HELD,
    1290: _READ_ONLY,
    1317: _CANCELLED,
    1836: _READ_ONLY,
    1969: _CANCELLED,
    2002: _AWAY,
    2003: _AWAY,
    2006: _AWAY,
    2013: _AWAY,
    3024: _CANCELLED,
}


def trouble(error: DBAPIError) -> Trouble | None:
    """Return in a few words what is wrong with the database; None for an error of another kind.

    Trouble that passes by itself is worth waiting for; other trouble somebody must put right.
    """
    original: Any = error.orig
    if (name := getattr(original, "sqlite_errorname", None)) is not None:
        said = str(original)
        words = (found for key, found in _SQLITE_WORDS.items() if key in said)
        kind = _by_beginning(_SQLITE, name) or next(words, None)
    elif (number := _mysql_number(original)) is not None:
        kind = _MYSQL.get(number) or (_AWAY if error.connection_invalidated else None)
    else:
        kind = _by_sqlstate(error)
    if kind is None:
        return None
    return kind._replace(said=f"{kind.said} ({' '.join(str(original).split())})")


def _by_sqlstate(error: DBAPIError) -> Trouble | None:
    """Return what psycopg's error says; it has a SQLSTATE unless no server answered."""
    original: Any = error.orig
    if not hasattr(original, "sqlstate"):
        return None
    if original.sqlstate is not None:
        return _by_beginning(_SQLSTATE, original.sqlstate)
    kinds = {kind.__name__ for kind in type(original).__mro__}  # a timeout is one of them
    is_gone = error.connection_invalidated or "OperationalError" in kinds
    return _AWAY if is_gone else None


def _by_beginning(table: Mapping[str, Trouble], name: str) -> Trouble | None:
    return next((found for key, found in table.items() if name.startswith(key)), None)


def _mysql_number(original: Any) -> int | None:
    """Return the number that MySQL's drivers begin an error with; newer ones give SQLSTATE too."""
    number = next(iter(getattr(original, "args", ())), None)
    return number if isinstance(number, int) else None
