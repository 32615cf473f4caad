"""How long a driver still needs, by what it has done so far."""

import time


class Pace:
    """Takes the time from now on; what was ``done`` before is not this driver's work."""

    def __init__(self, done: int):
        self._known = done
        self._began = time.monotonic()

    def left(self, done: int, left: int) -> str:
        """Say how long ``left`` will take, in the unit of ``done``; empty where nobody knows."""
        own = done - self._known
        if own < 1 or left < 1:
            return ""
        minutes, seconds = divmod(round((time.monotonic() - self._began) / own * left), 60)
        return f"about {minutes}:{seconds:02d} left"
