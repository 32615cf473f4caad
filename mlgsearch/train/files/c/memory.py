"""Where the activations of a C program lie, so that those alive at once never overlap."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(eq=False)
class Buffer:
    """Room for ``size`` floats, needed from operation ``first`` to operation ``last``.

    ``uses`` counts how often it is still to be read while a program is made.
    """

    size: int
    uses: int = 0
    first: int | None = None
    last: int = 0
    at: int = 0


def place_buffers(buffers: Iterable[Buffer]) -> int:
    """Set ``at`` of each buffer, the largest first and each as low as it can lie.

    Returns:
        How many floats hold them all.
    """
    placed: list[Buffer] = []
    for buffer in sorted(buffers, key=lambda each: -each.size):
        assert buffer.first is not None
        buffer.at = 0
        for other in sorted(placed, key=lambda each: each.at):
            assert other.first is not None
            is_alive = other.first <= buffer.last and buffer.first <= other.last
            if (
                is_alive
                and buffer.at < other.at + other.size
                and other.at < buffer.at + buffer.size
            ):
                buffer.at = other.at + other.size
        placed.append(buffer)
    return max((each.at + each.size for each in placed), default=0)
