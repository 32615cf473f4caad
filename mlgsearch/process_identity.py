"""Which process holds a lease, so that others of its machine see when it is gone.

A process id alone says little: it is used again, and in another container it means another process.
A start time by the wall clock moves when the clock is set. So a process is identified by the start
of the kernel, the namespaces in which its numbers hold, and its own start in ticks of the kernel.
"""

import os
from pathlib import Path

#: Where Linux lists processes; other systems have none, and nothing is concluded there.
_PROC = Path("/proc")


def process_identity() -> str:
    """Return what identifies this process; "" where the system does not say it."""
    try:
        if (_PROC / "self").readlink() != Path(str(os.getpid())):
            return ""  # that of another namespace is mounted there
        numbers, clock = _namespace("pid"), _namespace("time")
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        _, ticks = _stat(os.getpid())
    except (OSError, ValueError, IndexError):
        return ""
    return " ".join([boot, numbers, clock, str(ticks)])


def is_gone(pid: int, identity: str) -> bool:
    """Return whether a process has surely ended.

    Args:
        pid: its number.
        identity: what `process_identity` returned there.

    Returns:
        True where its number means the same here and belongs to no process, to a later one, or to
        one that has ended and was not waited for. False where it runs, or where nothing is known.
    """
    own = process_identity().split()
    known = identity.split()
    if not own or own[:-1] != known[:-1]:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # another user's
        pass
    try:
        state, ticks = _stat(pid)
    except (OSError, ValueError, IndexError):  # /proc may hide other users' processes
        return False
    return state in "ZX" or str(ticks) != known[-1]


def _namespace(name: str) -> str:
    """Return a namespace of this process, "-" where the kernel knows no such kind."""
    link = _PROC / "self" / "ns" / name
    return str(link.readlink()) if link.is_symlink() else "-"


def _stat(pid: int) -> tuple[str, int]:
    """Return a process's state, a letter, and its start in ticks since the kernel's (proc(5))."""
    text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    fields = text.rpartition(")")[2].split()  # its name, in brackets, may hold anything
    return fields[0], int(fields[19])
