"""Whether a SQLite database is still the file that was opened."""

from pathlib import Path

from sqlalchemy import Engine


class FileIdentity:
    """The file behind an engine at the moment of construction; nothing where it is a server's.

    A process that has a file open goes on to write to it after it was moved away, and to none that
    was put in its place.
    """

    def __init__(self, engine: Engine) -> None:
        name = engine.url.database
        is_file = engine.dialect.name == "sqlite" and name and not name.startswith("file:")
        self._path = Path(name).absolute() if is_file and name else None
        self._known = None if self._path is None else _identity(self._path)

    def loss(self) -> str | None:
        """Say in a few words what became of the file; None while it is the same."""
        if self._path is None or self._known is None:
            return None
        now = _identity(self._path)
        if now is None:
            return f"the database file {self._path} is gone"
        if now != self._known:
            return f"the database file {self._path} was replaced by another"
        return None


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
