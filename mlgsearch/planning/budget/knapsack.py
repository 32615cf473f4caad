"""The multiple-choice knapsack: one option from each list, least damage within a budget of size.

Steps, each cheap and each optional to the one before:

1. A Lagrange sweep. On the lower convex hull of every list, steps to the next option sorted by
   damage saved for a unit of size give the exact solutions for the sizes they reach, and for any
   budget between two of them a bound: the linear relaxation.
2. What is left of the budget is spent greedily.
3. Where that is not close to the bound, what may still beat it is searched: by the bound's prices
   an option that costs more than the gap is in no better solution (Pisinger 1995, the minimal
   algorithm); the options left are merged list by list, keeping what nothing beats.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlgsearch.planning.unbeaten import unbeaten

Sizes = NDArray[np.int64]
Damages = NDArray[np.float64]

#: A solution this close to the bound, relatively, is good enough.
_CLOSE = 1e-3

#: Partial solutions that a merge keeps at most; the result is exact where it never needs more.
_MOST_PARTIAL = 5_000


@dataclass(frozen=True)
class Selection:
    """One option of each list by its index, and their sums; ``bound`` is below any solution."""

    picks: tuple[int, ...]
    size: int
    damage: float
    bound: float


class Knapsack:
    """Lists of options, each with sizes ascending and damages descending, both strictly."""

    def __init__(self, lists: Sequence[tuple[Sizes, Damages]]):
        for sizes, damages in lists:
            assert len(sizes) == len(damages) > 0
            assert (np.diff(sizes) > 0).all()
            assert (np.diff(damages) < 0).all()
        self._lists = list(lists)
        self._sizes = np.concatenate([sizes for sizes, _ in lists])
        self._damages = np.concatenate([damages for _, damages in lists])
        counts = [len(sizes) for sizes, _ in lists]
        self._owner = np.repeat(np.arange(len(lists)), counts)
        self._start = np.concatenate([[0], np.cumsum(counts)[:-1]])
        self._sort_steps()

    @property
    def smallest(self) -> int:
        """The least size that can be chosen."""
        return sum(int(sizes[0]) for sizes, _ in self._lists)

    @property
    def largest(self) -> int:
        """The size at which damage is least."""
        return sum(int(sizes[-1]) for sizes, _ in self._lists)

    def choose(self, budget: int) -> Selection:
        """Choose within a budget of at least ``smallest``.

        The damage is within ``_CLOSE`` of the least one, or it is the least one, unless more than
        ``_MOST_PARTIAL`` partial solutions had to be kept.
        """
        assert budget >= self.smallest, (budget, self.smallest)
        taken = int(np.searchsorted(self._reached, budget, side="right")) - 1
        picks = self._start.copy()  # indices into all options
        for step in range(taken):
            picks[self._step_owner[step]] = self._step_target[step]
        damage = float(self._damages[picks].sum())
        if taken == len(self._step_price):
            return self._selection(picks, damage)
        price = float(self._step_price[taken])
        bound = damage - price * (budget - int(self._reached[taken]))
        picks = self._fill(picks, budget)
        gap = float(self._damages[picks].sum()) - bound
        if gap > _CLOSE * bound:
            picks = self._search(picks, budget, price, gap)
        return self._selection(picks, bound)

    def _sort_steps(self) -> None:
        owners, targets, prices, sizes = [], [], [], []
        for owner, (list_sizes, list_damages) in enumerate(self._lists):
            corners = _lower_hull(list_sizes, list_damages)
            grown = np.diff(list_sizes[corners])
            owners.append(np.full(len(grown), owner))
            targets.append(self._start[owner] + corners[1:])
            sizes.append(grown)
            prices.append(-np.diff(list_damages[corners]) / grown)
        price = np.concatenate(prices)
        # Stable: within a list prices fall, and a tie keeps the lists' order.
        order = np.argsort(-price, kind="stable")
        self._step_price = price[order]
        self._step_owner = np.concatenate(owners)[order]
        self._step_target = np.concatenate(targets)[order]
        grown = np.concatenate(sizes)[order]
        self._reached = self.smallest + np.concatenate([[0], np.cumsum(grown)])

    def _fill(self, picks: Sizes, budget: int) -> Sizes:
        """Spend what is left, the largest saving first."""
        picks = picks.copy()
        while True:
            more = self._sizes - self._sizes[picks][self._owner]
            saved = self._damages[picks][self._owner] - self._damages
            saved[more > budget - int(self._sizes[picks].sum())] = 0
            best = int(saved.argmax())
            if saved[best] <= 0:
                return picks
            picks[self._owner[best]] = best

    def _search(self, picks: Sizes, budget: int, price: float, gap: float) -> Sizes:
        """Look for a better solution among the options whose price is within the gap."""
        reduced = self._damages + price * self._sizes
        reduced -= np.minimum.reduceat(reduced, self._start)[self._owner]
        left = [
            np.flatnonzero((self._owner == owner) & (reduced < gap))
            for owner in range(len(self._lists))
        ]
        least_rest = np.cumsum([int(self._sizes[options].min()) for options in left][::-1])[::-1]
        size, damage, cost = np.zeros(1, np.int64), np.zeros(1), np.zeros(1)
        trail: list[tuple[Sizes, Sizes]] = []  # of each list: parent and option of a partial
        for owner, options in enumerate(left):
            parent, option = (
                part.ravel() for part in np.meshgrid(np.arange(len(size)), options, indexing="ij")
            )
            size, damage = (
                size[parent] + self._sizes[option],
                damage[parent] + self._damages[option],
            )
            cost = cost[parent] + reduced[option]
            rest = int(least_rest[owner + 1]) if owner + 1 < len(left) else 0
            keep = np.flatnonzero((cost < gap) & (size + rest <= budget))
            keep = keep[unbeaten(size[keep], damage[keep])]
            if len(keep) > _MOST_PARTIAL:
                keep = keep[np.argsort(cost[keep], kind="stable")[:_MOST_PARTIAL]]
            size, damage, cost = size[keep], damage[keep], cost[keep]
            trail.append((parent[keep], option[keep]))
        if not len(damage) or damage.min() >= self._damages[picks].sum():
            return picks
        at = int(damage.argmin())
        found = picks.copy()
        for owner in reversed(range(len(left))):
            parents, options = trail[owner]
            found[owner], at = options[at], int(parents[at])
        return found

    def _selection(self, picks: Sizes, bound: float) -> Selection:
        return Selection(
            tuple(int(pick) for pick in picks - self._start),
            int(self._sizes[picks].sum()),
            float(self._damages[picks].sum()),
            bound,
        )


def _lower_hull(sizes: Sizes, damages: Damages) -> NDArray[np.int64]:
    """Return the indices of the lower convex hull's corners; the slopes between them rise."""
    corners: list[int] = []
    for i in range(len(sizes)):
        while len(corners) > 1:
            first, last = corners[-2:]
            width, whole = sizes[last] - sizes[first], sizes[i] - sizes[first]
            chord = damages[first] + (damages[i] - damages[first]) * width / whole
            if damages[last] < chord:
                break
            corners.pop()
        corners.append(i)
    return np.array(corners, dtype=np.int64)
