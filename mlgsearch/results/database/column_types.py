"""Column types that read back the same from SQLite, PostgreSQL and MySQL."""

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Dialect, String, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import DontWrapMixin
from sqlalchemy.types import TypeDecorator

#: MySQL's own TEXT ends at 64 KB.
LONG_TEXT = Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")

#: MySQL's own DATETIME drops fractions of a second.
MOMENT = DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")

#: A string that keeps upper and lower case apart, which MySQL's by default do not.
NAME_TEXT = String(128).with_variant(
    mysql.VARCHAR(128, collation="utf8mb4_bin"), "mysql", "mariadb"
)


class UnstorableError(ValueError, DontWrapMixin):
    """A value that no column can hold; SQLAlchemy would hide a plain ValueError in its own."""


class JsonText(TypeDecorator[Any]):
    """JSON written as text: unlike a native JSON column it keeps the order of keys everywhere.

    Numbers that JSON does not have (NaN, infinities) are refused with UnstorableError.
    """

    impl = LONG_TEXT
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Write; ASCII only, so NUL and unpaired surrogates in strings are safe on PostgreSQL."""
        if value is None:
            return None
        try:
            return json.dumps(value, allow_nan=False, separators=(",", ":"))
        except ValueError as error:
            raise UnstorableError(f"{value!r} holds what JSON does not have: {error}") from error

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """Read."""
        return None if value is None else json.loads(value)


class UtcMoment(TypeDecorator[datetime]):
    """A moment: any aware datetime goes in, UTC comes out, aware as well.

    The column holds UTC without a zone, so the databases' different ideas of zones do not matter.
    """

    impl = MOMENT
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Write, and refuse (UnstorableError) a datetime that does not say its zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise UnstorableError(f"{value!r} has no time zone: write datetime.now(UTC)")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Read."""
        return None if value is None else value.replace(tzinfo=UTC)


class CleanText(TypeDecorator[str]):
    r"""Text from anywhere (an error message): what UTF-8 or PostgreSQL cannot hold is escaped."""

    impl: String = LONG_TEXT
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        r"""Write; a NUL becomes the four characters \x00."""
        if value is None:
            return None
        return value.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")


class StudyName(CleanText):
    """A study's name; characters that no database can store are escaped."""

    impl = NAME_TEXT
    cache_ok = True
