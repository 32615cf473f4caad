"""How long a driver still needs, by what it has done so far."""

import time

from mlgsearch.results.analysis.pace import time_left_s
from mlgsearch.words import duration


class Pace:
    """Takes the time from now on; what was ``done`` before is not this driver's work."""

    def __init__(self, done: int):
        self._known = done
        self._began = time.monotonic()

    def left(self, done: int, left: int) -> str:
        """Say how long ``left`` will take, in the unit of ``done``; empty where nobody knows."""
        seconds = time_left_s((done - self._known, time.monotonic() - self._began), left)
        return f"about {duration(seconds)} left" if seconds else ""
