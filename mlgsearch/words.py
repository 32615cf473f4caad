"""Quantities in words and signs."""

from itertools import pairwise

TIMES = "\N{MULTIPLICATION SIGN}"

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def counted(number: int, what: str) -> str:
    """Write so many things: ``1 seed``, ``2 seeds``."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Write how long something takes, in two units at most: ``8 s``, ``2 h 10 min``."""
    for (length, name), (shorter, shorter_name) in pairwise(_UNITS):
        if seconds >= length:
            rest = int(seconds % length // shorter)
            return f"{int(seconds // length)} {name}{f' {rest} {shorter_name}' if rest else ''}"
    return f"{max(0, int(seconds))} s"
