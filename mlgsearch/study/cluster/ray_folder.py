"""Folders of a driver's Ray: where they are made, and that they go, at the latest with the next."""

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ray._common.utils import get_default_system_temp_dir

from mlgsearch.errors import UserError
from mlgsearch.paths import can_be_written
from mlgsearch.process_identity import is_gone, process_identity

#: Ray's own session: sockets and logs.
SESSION = "mlg-ray-"
#: In a folder: the process that made it.
_OWNER = "process"
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
    with tempfile.TemporaryDirectory(prefix=prefix, dir=place, ignore_cleanup_errors=True) as made:
        (Path(made) / _OWNER).write_text(f"{os.getpid()}\n{process_identity()}\n")
        yield Path(made)


def _clear(prefix: str, place: Path) -> None:
    """Remove the folders whose process has surely ended."""
    for folder in place.glob(f"{prefix}*"):
        try:
            found = folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
                continue
            pid, identity = (folder / _OWNER).read_text().splitlines()
        except (OSError, ValueError):  # of an earlier version, or just being made, or just gone
            continue
        if pid.isdecimal() and is_gone(int(pid), identity):
            shutil.rmtree(folder, ignore_errors=True)
