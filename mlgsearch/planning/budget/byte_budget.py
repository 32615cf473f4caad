"""From a budget in bits, which is what layers are chosen by, to one in bytes of a whole file."""

from collections.abc import Callable

from mlgsearch.errors import BudgetError
from mlgsearch.planning.budget.allocation import Allocation, Allocator

#: Tries to come closer to a budget of bytes; each counts a whole packed file.
_TRIES = 8


def within_bytes(
    allocator: Allocator, most_bytes: int, bytes_of: Callable[[Allocation], int]
) -> Allocation:
    """Return the best plan whose file takes at most so many bytes.

    Args:
        allocator: of the network.
        most_bytes: the budget.
        bytes_of: counts the file of a plan.

    Raises:
        BudgetError: no network in range packs that small.
    """
    best = allocator.allocate(allocator.smallest)
    smallest_bytes = bytes_of(best)
    if smallest_bytes > most_bytes:
        raise BudgetError(
            f"a file of {most_bytes / 1000:g} KB cannot be made: the smallest network in "
            f"range packs to {smallest_bytes / 1000:g} KB; {allocator.binding()}"
        )
    # What a file adds to its bits hardly depends on them: aim at the budget less that.
    low, bits = allocator.smallest, 8 * most_bytes - (8 * smallest_bytes - best.bits)
    high = 8 * most_bytes
    for _ in range(_TRIES):
        found = allocator.allocate(max(bits, low))
        found_bytes = bytes_of(found)
        if found_bytes <= most_bytes:
            low = max(bits, low)
            best = min(best, found, key=lambda allocation: allocation.damage)
        else:
            high = bits
        bits = found.bits - 8 * (found_bytes - most_bytes)
        if not low < bits < high:
            bits = (low + high) // 2
        if high - low < max(8, most_bytes // 500):
            break
    return best
