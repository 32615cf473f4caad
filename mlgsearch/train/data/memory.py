"""How much memory this process may take, where a container limits it as well."""

from collections.abc import Iterator
from pathlib import Path

import psutil

_UNLIMITED = 1 << 60
#: Of a group's usage what the kernel drops when it needs room: pages of files. Version 1 has both
#: pairs; the first counts the groups below as well, as version 2 always does.
_OF_FILES = (("total_inactive_file", "total_active_file"), ("inactive_file", "active_file"))


def available_memory(
    membership: Path = Path("/proc/self/cgroup"), mount: Path = Path("/sys/fs/cgroup")
) -> int:
    """Return how many bytes are free: of the machine, and of every control group around it.

    Both versions of control groups are read. Pages of files do not count as used, since the kernel
    drops them for others.
    """
    free: int = psutil.virtual_memory().available
    return max(0, min([free, *_free_in_groups(membership, mount)]))


def _free_in_groups(membership: Path, mount: Path) -> Iterator[int]:
    roots: tuple[Path, ...]
    try:
        lines = membership.read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            roots, names = (mount, mount / "unified"), ("memory.max", "memory.current")
        elif "memory" in controllers.split(","):
            roots = (mount / "memory",)
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
        else:
            continue
        for root in roots:
            # Inside a container the path may be the host's, and the group is the root itself.
            group = root / path.lstrip("/")
            for folder in (group, *group.parents):
                if folder.is_relative_to(root):
                    yield from _free_in(folder, *names)


def _free_in(folder: Path, limit_name: str, usage_name: str) -> Iterator[int]:
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
