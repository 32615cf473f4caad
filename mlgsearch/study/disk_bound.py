"""What a study's files may take of the disk."""

import os
import time
from pathlib import Path

from mlgsearch.errors import DiskFullError

_GB = 10**9
#: A folder of 10,000 trials takes a tenth of a second to count.
_LOOK_EVERY_S = 5.0


class DiskBound:
    """Counts the bytes of a study's folder now and then, against the bound of its file."""

    def __init__(self, folder: Path, max_gb: float | None):
        self._folder = folder
        self._max_gb = max_gb
        self._next_look = 0.0

    def check(self) -> None:
        """Look, where the last look is some seconds ago.

        Raises:
            DiskFullError: the folder takes more than it may.
        """
        if self._max_gb is None or time.monotonic() < self._next_look:
            return
        used = bytes_in(self._folder)
        self._next_look = time.monotonic() + _LOOK_EVERY_S
        if used > self._max_gb * _GB:
            raise DiskFullError(
                f"{self._folder} takes {used / _GB:.3g} GB, more than resources.max_disk_gb: "
                f"{self._max_gb:g}; the study stops, and loses nothing: allow it more in its file "
                "and launch that again, or delete folders of trials that are not needed"
            )


def bytes_in(folder: Path) -> int:
    """Add up the files in a folder and below; what disappears meanwhile counts nothing."""
    total = 0
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return 0
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            total += bytes_in(Path(entry.path))
        else:
            try:
                total += entry.stat(follow_symlinks=False).st_size
            except FileNotFoundError:
                continue
    return total
