"""Whether this machine's shared memory has room for Ray's object store."""

import os
from pathlib import Path

_SHARED = Path("/dev/shm")


def shared_memory_warning(needed: int, shared: Path = _SHARED) -> str | None:
    """Return a sentence if data do not fit into shared memory; None where they do."""
    try:
        found = os.statvfs(shared)
    except OSError:  # none here: Ray has a place of its own
        return None
    free = found.f_bavail * found.f_frsize
    if free >= needed:
        return None
    return (
        f"{shared} has {free / 1e6:.0f} MB free, but the data that go to the workers through Ray's "
        f"object store take {needed / 1e6:.0f} MB: Ray writes to the disk instead, which is slow; "
        "give the container more (docker run --shm-size, or an emptyDir of medium Memory at "
        f"{shared})"
    )
