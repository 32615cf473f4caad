"""Results that the database could not take yet, on the driver's own disk."""

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mlgsearch.records import EpochRecord, Sizes, TrialRecord, TrialState
from mlgsearch.results.places import make_private
from mlgsearch.train.tensor_file import write_atomically

logger = logging.getLogger(__name__)

_MOMENTS = ("created_at", "finished_at")


@dataclass(frozen=True)
class Kept:
    """A trial's record, and epochs of it, that wait to be delivered."""

    record: TrialRecord
    epochs: tuple[EpochRecord, ...]


class Outbox:
    """A folder with one file a trial, each written whole and checked by its SHA-256 when read.

    Delivering twice is harmless: a trial is named by its number, an epoch by number and epoch, and
    what is older than the database's row is not delivered at all.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def keep(self, record: TrialRecord, epochs: Sequence[EpochRecord]) -> None:
        """Keep a trial's record and all epochs of it that wait, instead of what was kept of it.

        Raises:
            OSError: it cannot be written; what was kept before is as it was.
        """
        fields = asdict(record)
        for name in _MOMENTS:
            fields[name] = None if fields[name] is None else fields[name].isoformat()
        text = json.dumps({"record": fields, "epochs": [asdict(epoch) for epoch in epochs]})
        whole = json.dumps({"sha256": _digest(text), "content": text})
        make_private(self.folder)
        write_atomically(self._path(record.number), whole.encode())

    def drop(self, number: int) -> None:
        """Forget a trial that was delivered."""
        self._path(number).unlink(missing_ok=True)

    def kept(self) -> list[Kept]:
        """Give what is kept, by number; a file that is not whole is passed over with a warning."""
        found = []
        for path in sorted(self.folder.glob("[0-9]*.json")):
            try:
                whole = json.loads(path.read_bytes())
                text = whole["content"]
                is_whole = _digest(text) == whole["sha256"]
            except (ValueError, KeyError, TypeError, AttributeError):
                is_whole = False
            if is_whole:
                found.append(_read(json.loads(text)))
            else:
                logger.error("%s is damaged and passed over", path)
        return found

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.json"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _read(content: dict[str, Any]) -> Kept:
    fields = content["record"]
    fields |= {
        "state": TrialState(fields["state"]),
        "settings": {layer: tuple(five) for layer, five in fields["settings"].items()},
        "sizes": Sizes(**fields["sizes"]),
    }
    for name in _MOMENTS:
        if fields[name] is not None:
            fields[name] = datetime.fromisoformat(fields[name])
    epochs = tuple(EpochRecord(**epoch) for epoch in content["epochs"])
    return Kept(TrialRecord(**fields), epochs)
