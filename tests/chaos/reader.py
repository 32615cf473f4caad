"""A driver's events, read while it works."""

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from typing import Any

from tests.study.driver import Driver

#: No wait is longer; a driver that gives nothing for so long breaks a promise.
PATIENCE_S = 600.0


class Reader:
    """Reads a driver's events in a thread of its own; after ``most_lines`` its stdout is closed."""

    def __init__(self, driver: Driver, most_lines: int | None = None):
        self._driver = driver
        self._most_lines = most_lines
        self._events: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        self._is_over = False
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def wait_for(self, name: str, more: int) -> bool:
        """Wait until that many events of a name more are reported; return whether they were."""
        with self._changed:
            wanted = self.count(name) + more
            self._changed.wait_for(
                lambda: self._is_over or self.count(name) >= wanted, timeout=PATIENCE_S
            )
            return self.count(name) >= wanted

    def waited(self, name: str, more: int) -> list[str]:
        """Wait for events; gives what is wrong where they do not come."""
        if self.wait_for(name, more):
            return []
        said = self._driver.errors().splitlines()[-1:]
        why = f"ended by itself: {''.join(said)}" if self._is_over else "goes on"
        return [f"the driver reported no {more} {name}s more, and {why}"]

    def wait_until(self, is_so: Callable[[], bool]) -> bool:
        """Wait until something is so, looked at whenever an event comes; return whether it is."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or is_so(), timeout=PATIENCE_S)
            return is_so()

    def wait_until_over(self) -> bool:
        """Wait until nothing more is read; return whether anything was."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_over, timeout=PATIENCE_S)
            return bool(self._events)

    def count(self, name: str) -> int:
        """Count the events of a name up to now."""
        return sum(event["event"] == name for event in self.so_far())

    def all(self) -> list[dict[str, Any]]:
        """Return all events, when the driver has ended."""
        self._thread.join()
        return self._events

    def so_far(self) -> list[dict[str, Any]]:
        """Return the events up to now."""
        with self._changed:
            return list(self._events)

    def _read(self) -> None:
        for line in islice(self._driver.lines(), self._most_lines):
            with self._changed:
                with suppress(json.JSONDecodeError):  # cut by the kill
                    self._events.append(json.loads(line))
                self._changed.notify_all()
        if self._most_lines is not None:
            self._driver.close_stdout()
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
