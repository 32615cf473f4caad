"""What the control groups around this process leave it, by either version of them."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

#: Where Linux says which groups a process is in, and where they are.
MEMBERSHIP, MOUNT = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def groups_around(
    controller: str, membership: Path = MEMBERSHIP, mount: Path = MOUNT
) -> Iterator[Path]:
    """Yield the folders of all groups in which a controller may limit this process.

    Some of them may not be there: inside a container a path may be the host's.
    """
    try:
        lines = membership.read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            roots = (mount, mount / "unified")
        elif controller in controllers.split(","):
            roots = (mount / controller, mount / controllers)
        else:
            continue
        for root in dict.fromkeys(roots):
            # Where the path is the host's the group is the root itself.
            group = root / path.lstrip("/")
            yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(root))


def processors(membership: Path = MEMBERSHIP, mount: Path = MOUNT) -> int:
    """Count the processors that this process may use, one at least.

    Those that it is bound to (taskset, SLURM, cpuset), less where a control group gives less of
    their time. The number of torch's threads does not follow from it: that is part of what a
    teacher's weights, and so its hash, depend on.
    """
    try:
        bound = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        bound = os.cpu_count() or 1
    quotas = (quota for group in groups_around("cpu", membership, mount) for quota in _quota(group))
    return max(1, math.floor(min([bound, *quotas]) + 1e-9))


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
