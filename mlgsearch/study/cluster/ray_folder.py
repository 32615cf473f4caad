"""Folders of a driver's Ray: where they are made, and that they go, at the latest with the next."""

import fcntl
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from ray._common.utils import get_default_system_temp_dir

from mlgsearch.errors import UserError
from mlgsearch.process_identity import is_gone, process_identity
from mlgsearch.writable_place import can_be_written

#: Ray's own session: sockets and logs.
SESSION = "mlg-ray-"
#: In a folder: the process that made it, which locks this file for as long as it lives.
_OWNER = "process"
#: Its last line where the lock holds for whoever sees the file.
_LOCKED = "locked"
#: Filesystems that one kernel mounts alone: what is locked there is locked for all.
_OF_ONE_KERNEL = {"btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "tmpfs", "xfs", "zfs"}
_MOUNTS = Path("/proc/self/mountinfo")
#: The longest path that Ray makes below, and the most bytes that the system takes for a socket's.
_LONGEST = "/mlg-ray-12345678/ray/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store.1"
_MOST_BYTES = 103 if sys.platform == "darwin" else 107


def session_place() -> Path:
    """Return where a Ray session's folder can be made.

    That is Ray's own choice (``RAY_TMPDIR``, ``TMPDIR``, /tmp), or where its path is too long for
    the sockets, as it may be in a batch job, or may not be written, a shorter one. In each the
    session's folder is its user's alone.

    Raises:
        UserError: there is none.
    """
    first: str = get_default_system_temp_dir()  # type: ignore[no-untyped-call]
    places = [first, os.environ.get("XDG_RUNTIME_DIR", ""), "/tmp", "/var/tmp", "/dev/shm"]
    for place in filter(os.path.isabs, places):
        is_short = len(os.fsencode(place + _LONGEST)) <= _MOST_BYTES
        if is_short and can_be_written(Path(place)):
            return Path(place)
    most = _MOST_BYTES - len(_LONGEST)
    raise UserError(
        f"Ray's sockets fit nowhere: {first} is too long a path or cannot be written, and so are "
        f"/tmp and the like; let RAY_TMPDIR name a folder that can, of at most {most} bytes"
    )


@contextmanager
def owned_folder(prefix: str, place: Path) -> Iterator[Path]:
    """Make a folder of mode 0700, and remove it at the end.

    Those that processes of this user left there under the same prefix when they were killed are
    removed first.
    """
    _clear(prefix, place)
    with (
        tempfile.TemporaryDirectory(prefix=prefix, dir=place, ignore_cleanup_errors=True) as made,
        (Path(made) / _OWNER).open("w") as owner,
    ):
        locked = _LOCKED if _is_of_one_kernel(Path(made)) and _lock(owner) else ""
        owner.write(f"{os.getpid()}\n{process_identity()}\n{locked}\n")
        owner.flush()
        yield Path(made)


def _clear(prefix: str, place: Path) -> None:
    """Remove the folders whose process has surely ended.

    That is known by what identifies it, or, also where that was before the machine's last start or
    in another container, by its lock, which is free.
    """
    for folder in place.glob(f"{prefix}*"):
        try:
            found = folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
                continue
            with (folder / _OWNER).open() as owner:
                pid, identity, *said = owner.read().splitlines()
                is_free = said == [_LOCKED] and _is_of_one_kernel(folder) and _lock(owner)
                if is_free or (pid.isdecimal() and is_gone(int(pid), identity)):
                    shutil.rmtree(folder, ignore_errors=True)
        except (OSError, ValueError):  # of an earlier version, or just being made, or just gone
            continue


def _lock(file: TextIO) -> bool:
    """Lock a file until it is closed or this process ends; return False where another has."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_of_one_kernel(folder: Path) -> bool:
    """Return whether all processes that see a folder run under this kernel.

    On a network's filesystem a lock may hold on one machine alone.
    """
    try:
        mounts = _MOUNTS.read_text().splitlines()
    except OSError:  # not Linux
        return False
    kinds: dict[str, str] = {}
    for mount in mounts:
        before, _, after = mount.partition(" - ")
        place = re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), before.split()[4])
        kinds[place] = after.split()[0]  # the last one at a place is what is seen
    path = folder.resolve()
    nearest = next((str(p) for p in (path, *path.parents) if str(p) in kinds), "")
    return kinds.get(nearest) in _OF_ONE_KERNEL
