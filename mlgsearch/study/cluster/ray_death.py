"""Ray's own processes on this machine, watched: a driver would wait forever for one that died."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

import psutil

from mlgsearch.errors import RayLostError

#: Between two looks. Ray itself ends a driver 60 s after its head died, without its rows.
_LOOK_S = 1.0
#: Those without which nothing goes on.
_NEEDED = ("raylet", "gcs_server")


@contextmanager
def watched(
    processes: Iterable[psutil.Process], report: Callable[[RayLostError], object]
) -> Iterator[threading.Event]:
    """Report once, from a thread, where one of these processes that Ray needs ends.

    Yields:
        Whether one did.
    """
    needed = {process: name for process in processes if (name := _name(process)) in _NEEDED}
    over, died = threading.Event(), threading.Event()

    def look() -> None:
        while not over.wait(_LOOK_S):
            for process, name in needed.items():
                if _has_ended(process) and not over.is_set():
                    died.set()
                    report(
                        RayLostError(
                            f"Ray's process {name} on this machine has ended, so no trial can be "
                            "trained: what was in flight waits with its checkpoints, and `resume` "
                            "goes on; where that happens again, see whether the kernel ended it "
                            "for lack of memory (dmesg), and run fewer trials at once "
                            "(--max-parallel)"
                        )
                    )
                    return

    thread = threading.Thread(target=look, name="ray", daemon=True)
    thread.start()
    try:
        yield died
    finally:
        over.set()
        thread.join()


def _name(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return str(process.name())
    return ""


def _has_ended(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False
