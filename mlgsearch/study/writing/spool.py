"""Results that the database could not take yet, on the driver's own disk."""

import hashlib
import json
import logging
from pathlib import Path
from typing import Generic, TypeVar

from mlgsearch.paths import make_private
from mlgsearch.study.writing.pending import PendingWrite
from mlgsearch.train.tensor_file import write_atomically

logger = logging.getLogger(__name__)

P = TypeVar("P", bound=PendingWrite)


class Spool(Generic[P]):
    """A folder with one file per entry, each written whole and checked by its SHA-256 when read.

    Delivering twice is harmless: what an entry holds is named by its key, an epoch by key and
    epoch, and what is older than the database's row is not delivered at all.

    Args:
        folder: made with the first entry, for its owner alone.
        kind: of the entries.
    """

    def __init__(self, folder: Path, kind: type[P]):
        self.folder = folder
        self._kind = kind

    def keep(self, entry: P) -> None:
        """Keep an entry instead of what was kept under its key.

        Raises:
            OSError: it cannot be written; what was kept before is as it was.
        """
        text = json.dumps(entry.to_json())
        whole = json.dumps({"sha256": _digest(text), "content": text})
        make_private(self.folder)
        write_atomically(self._path(entry.key), whole.encode())

    def drop(self, key: str) -> None:
        """Forget an entry that was delivered."""
        self._path(key).unlink(missing_ok=True)

    def kept(self) -> list[P]:
        """Return what is kept, by key.

        A file that is not whole, or that a version with other fields wrote, stays where it is and
        is passed over with a line in the log.
        """
        paths = sorted(self.folder.glob("[0-9]*.json"))
        return [entry for path in paths if (entry := self._read(path)) is not None]

    def _read(self, path: Path) -> P | None:
        problem = "is damaged and passed over"
        try:
            whole = json.loads(path.read_bytes())
            text = whole["content"]
            if _digest(text) == whole["sha256"]:
                problem = (
                    "was written by another version, and is passed over: deliver it with that "
                    "version, or delete it"
                )
                return self._kind.from_json(json.loads(text))
        except (ValueError, KeyError, TypeError, AttributeError):
            pass
        logger.error("%s %s", path, problem)
        return None

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
