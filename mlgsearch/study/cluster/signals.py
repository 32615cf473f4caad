"""Signals that ask a driver to stop: one to stop cleanly, a second to stop at once."""

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue

import psutil

from mlgsearch.errors import UserError

#: Ctrl-C; systemd, Docker, Kubernetes and batch systems; a terminal that closes.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: Time from the second signal until the process ends by force.
_AT_ONCE_S = 15.0
#: The last part of a grace time, in which rows and lease are written and Ray is ended: half of it,
#: at most so long.
_MOST_RESERVE_S = 8.0
#: Of that, what is left at the end for the last lines and the interpreter: a tenth of the grace
#: time, at most so long.
_MOST_EXIT_S = 1.0
#: Time for the last write of a process that ends by force.
_LAST_WRITE_S = 1.0


class Interrupted(KeyboardInterrupt):
    """A signal stopped the driver at once."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.number = number


class Stop:
    """What signals have asked of this process so far.

    The first signal raises `Interrupted`; after `wait_for_order` the first one only sets this, and
    the second raises. It is raised once: after that, and after `close`, no signal interrupts the
    cleaning up, but the process ends by force 15 s after the second one.

    Args:
        grace_s: the process ends within this time after the first signal, also where the context
            was left; as if a second one came when half of it, or all but 8 s, have passed.
    """

    def __init__(self, grace_s: float | None = None):
        self._grace_s = grace_s
        #: The first signal that came; None as long as none did.
        self.number: int | None = None
        self._failure: UserError | None = None
        #: Called before the process ends by force; it has a second.
        self.last_write: Callable[[], object] | None = None
        self._pid = os.getpid()
        self._is_orderly = False
        self._is_closed = False
        self._has_raised = False
        # Its `put` may interrupt itself, unlike the lock of an Event.
        self._seen: SimpleQueue[str] = SimpleQueue()
        self._watchdog = threading.Thread(target=self._watch, name="signals", daemon=True)

    def is_set(self) -> bool:
        """Return whether a signal came.

        Raises:
            Interrupted: it was raised before, but got lost, as happens in a destructor.
            UserError: the same, of `break_off`.
        """
        if self._has_raised and not self._is_closed:
            raise self._failure or Interrupted(self._first)
        return self.number is not None

    def wait(self, seconds: float) -> bool:
        """Wait; return whether a signal came."""
        time.sleep(seconds)
        return self.is_set()

    def break_off(self, failure: UserError) -> None:
        """Raise an error in the main thread, wherever it is; any thread may call this.

        It leaves the context as that error, and nothing comes of it while the driver cleans up.
        """
        self._failure = failure
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    def wait_for_order(self) -> None:
        """From now on let the first signal do no more than set this."""
        self._is_orderly = True

    def close(self) -> None:
        """From now on interrupt nothing: the driver cleans up."""
        self._is_closed = True

    @property
    def has_grace(self) -> bool:
        """Whether the time after the first signal is limited."""
        return self._grace_s is not None

    @property
    def _first(self) -> int:
        assert self.number is not None
        return self.number

    @contextmanager
    def listening(self) -> Iterator["Stop"]:
        """Handle SIGINT, SIGTERM and SIGHUP inside of the context."""
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        # `nohup` ignores SIGHUP, and that is meant.
        handled = [n for n in _SIGNALS if n != signal.SIGHUP or before[n] != signal.SIG_IGN]
        self._watchdog.start()
        for number in handled:
            signal.signal(number, self._handle)
        try:
            yield self
        except KeyboardInterrupt as error:
            if self._failure is not None:
                raise self._failure from None
            if self.number is None or isinstance(error, Interrupted):
                raise
            raise Interrupted(self.number) from None  # Ray's C++ raises one of its own instead
        finally:
            self.last_write = None
            self._seen.put("end")
            for number in handled:
                signal.signal(number, before[number])
            if self._grace_s is None or self.number is None:
                self._watchdog.join()  # else it sees to the interpreter's own end as well

    def _handle(self, number: int, frame: object) -> None:
        if os.getpid() != self._pid:  # a child that was forked and runs no program of its own
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
            return
        if self._failure is not None and not self._has_raised and not self._is_closed:
            self._has_raised = True
            raise KeyboardInterrupt  # which no code of others' catches as it does an error
        is_first = self.number is None
        if is_first:
            self.number = number
        if is_first and (self._is_orderly or self._is_closed):
            self._seen.put("first")
            return
        self._seen.put("at once")
        if not self._is_closed and not self._has_raised:
            self._has_raised = True
            raise Interrupted(self._first)

    def _watch(self) -> None:
        """Keep the times, in a thread of its own: the main one may be busy in a library."""
        seen = self._seen.get()
        if seen == "end":
            return
        began = time.monotonic()
        interrupt_s = force_s = math.inf
        if self._grace_s is not None:
            interrupt_s = began + self._grace_s - min(self._grace_s / 2, _MOST_RESERVE_S)
            force_s = began + self._grace_s - min(self._grace_s / 10, _MOST_EXIT_S)
        while (now := time.monotonic()) < force_s:
            if seen == "at once":
                interrupt_s, force_s = math.inf, min(force_s, now + _AT_ONCE_S)
            elif seen == "end":
                interrupt_s = math.inf
                if self._grace_s is None:
                    return
            if now >= interrupt_s:
                signal.pthread_kill(threading.main_thread().ident or 0, self._first)
                interrupt_s = math.inf
            until_s = min(interrupt_s, force_s)
            try:
                seen = self._seen.get(timeout=None if until_s == math.inf else until_s - now)
            except Empty:
                seen = ""
        self._end_by_force()

    def _end_by_force(self) -> None:
        if self.last_write is not None:
            write = threading.Thread(target=self.last_write, daemon=True)
            write.start()
            write.join(_LAST_WRITE_S)
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        os._exit(128 + self._first)
