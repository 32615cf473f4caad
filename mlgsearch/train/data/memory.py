"""How much memory this process may take, where a container limits it as well."""

from collections.abc import Iterator
from pathlib import Path

import psutil

from mlgsearch.control_groups import MEMBERSHIP, MOUNT, groups_around

_UNLIMITED = 1 << 60
#: Of a group's usage what the kernel drops when it needs room: pages of files. Version 1 has both
#: pairs; the first counts the groups below as well, as version 2 always does.
_OF_FILES = (("total_inactive_file", "total_active_file"), ("inactive_file", "active_file"))


def available_memory(membership: Path = MEMBERSHIP, mount: Path = MOUNT) -> int:
    """Return how many bytes are free: of the machine, and of every control group around it.

    Both versions of control groups are read. Pages of files do not count as used, since the kernel
    drops them for others.
    """
    free: int = psutil.virtual_memory().available
    groups = groups_around("memory", membership, mount)
    return max(0, min([free, *(left for group in groups for left in _free_in(group))]))


def _free_in(folder: Path) -> Iterator[int]:
    limit_name, usage_name = "memory.max", "memory.current"
    if not (folder / limit_name).exists():
        limit_name, usage_name = "memory.limit_in_bytes", "memory.usage_in_bytes"
    try:
        limit_text = (folder / limit_name).read_text().strip()
        usage = int((folder / usage_name).read_text())
        statistics = (folder / "memory.stat").read_text().splitlines()
    except OSError:  # the root of version 2 has no such files
        return
    if limit_text == "max" or int(limit_text) >= _UNLIMITED:
        return
    counts = dict(line.split(" ", 1) for line in statistics)
    names = next((pair for pair in _OF_FILES if pair[0] in counts), ())
    files = sum(int(counts.get(name, 0)) for name in names)
    yield int(limit_text) - usage + files
