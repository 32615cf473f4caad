"""Control groups that give a process little memory, as a container's limit does."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: Version 1, and version 2 where the controller is passed on.
_MOUNTS = (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup"))
#: Of what a process takes after it joined.
_BYTES = 4_000_000


class MemoryGroup:
    """One control group."""

    def __init__(self, folder: Path):
        self._folder = folder

    def join(self, pid: int) -> None:
        """Put a process into it."""
        (self._folder / "cgroup.procs").write_text(str(pid))


@contextmanager
def memory_group(name: str) -> Iterator[MemoryGroup | None]:
    """Make a group, and remove it at the end; None where this machine lets us make none."""
    for mount in _MOUNTS:
        folder = mount / name
        try:
            folder.mkdir()
            limit = next(
                folder / file
                for file in ("memory.max", "memory.limit_in_bytes")
                if (folder / file).exists()
            )
            limit.write_text(str(_BYTES))
        except (OSError, StopIteration):
            with suppress(OSError):
                folder.rmdir()
            continue
        try:
            yield MemoryGroup(folder)
        finally:
            for _ in range(50):
                try:
                    folder.rmdir()
                    break
                except OSError:  # what it held is not reaped yet
                    time.sleep(0.1)
        return
    yield None
