"""What of this machine a driver may use: processors, and shared memory for Ray's object store."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

_SHARED = Path("/dev/shm")


def processors(
    membership: Path = Path("/proc/self/cgroup"), mount: Path = Path("/sys/fs/cgroup")
) -> int:
    """Count the processors that this process may use, one at least.

    Those that it is bound to (taskset, SLURM, cpuset), less where a control group around it gives
    less of their time, by either version of control groups.
    """
    try:
        bound = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        bound = os.cpu_count() or 1
    return max(1, math.floor(min([bound, *_quotas(membership, mount)]) + 1e-9))


def _quotas(membership: Path, mount: Path) -> Iterator[float]:
    try:
        lines = membership.read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            roots = (mount, mount / "unified")
        elif "cpu" in controllers.split(","):
            roots = (mount / "cpu", mount / controllers)
        else:
            continue
        for root in roots:
            # Inside a container the path may be the host's, and the group is the root itself.
            group = root / path.lstrip("/")
            for folder in (group, *group.parents):
                if folder.is_relative_to(root):
                    yield from _quota(folder)


def _quota(folder: Path) -> Iterator[float]:
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text().strip()
    except OSError:  # a root has no such files
        return
    if quota != "max" and int(quota) > 0:
        yield int(quota) / int(period)


def shared_memory_warning(needed: int, shared: Path = _SHARED) -> str | None:
    """Say in a sentence that data do not fit into shared memory; None where they do."""
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
