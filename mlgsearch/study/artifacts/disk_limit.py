"""What a study's files may take of the disk."""

import time

from mlgsearch.errors import DiskFullError
from mlgsearch.study.artifacts.store import Artifacts

_GB = 10**9
#: A folder of 10,000 trials takes a tenth of a second to count; a store of them may take long.
_LOOK_EVERY_S = 5.0
_MOST_SHARE = 0.02


class DiskBound:
    """Counts the bytes of a study's artifacts now and then, against the bound of its file."""

    def __init__(self, artifacts: Artifacts, max_gb: float | None):
        self._artifacts = artifacts
        self._max_gb = max_gb
        self._next_look = 0.0

    def check(self) -> None:
        """Look, where the last look is some seconds ago.

        Raises:
            DiskFullError: they take more than they may.
            ArtifactsAwayError: their store does not answer.
        """
        if self._max_gb is None or time.monotonic() < self._next_look:
            return
        began = time.monotonic()
        used = self._artifacts.bytes_used()
        took_s = time.monotonic() - began
        self._next_look = began + max(_LOOK_EVERY_S, took_s / _MOST_SHARE)
        if used > self._max_gb * _GB:
            raise DiskFullError(
                f"{self._artifacts.place} takes {used / _GB:.3g} GB, more than "
                f"resources.max_disk_gb: {self._max_gb:g}. The study stopped; no results were "
                "lost. Raise the limit in its file and run `launch` again, or delete the folders "
                "of trials that are not needed and run `resume`"
            )
