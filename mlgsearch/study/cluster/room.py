"""Whether a cluster whose nodes come and go has room for a trial."""

from collections.abc import Callable

from mlgsearch.study.cluster.capacity import Capacity
from mlgsearch.study.cluster.ray_session import nodes
from mlgsearch.study.writing.lease_keeper import LeaseKeeper


class Room:
    """Counts the trials that may run now; reports once each time that none fits anywhere.

    For the page the lease says so, for as long as it is so.

    Args:
        capacity: what a trial takes.
        notice: called with a sentence each time.
        keeper: of the lease.
    """

    def __init__(self, capacity: Capacity, notice: Callable[[str], object], keeper: LeaseKeeper):
        self._capacity = capacity
        self._notice = notice
        self._keeper = keeper
        gpus = f" and {capacity.gpu:g} GPU" if capacity.gpu else ""
        self._none_fits = (
            f"no node has room for a trial, which takes {capacity.cpu:g} CPU{gpus}: what is left "
            "waits until a node joins"
        )

    def __call__(self) -> int:
        """Return how many trials may run, on the nodes that are alive now."""
        alive = nodes()
        waits_for = "" if self._capacity.fits_on(alive) else self._none_fits
        if waits_for and not self._keeper.waits_for:
            self._notice(waits_for)
        self._keeper.waits_for = waits_for
        return self._capacity.count_on(alive)
