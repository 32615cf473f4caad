"""Spend what prices left of a budget and its limits: single layers change, then two at once."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Changes of single layers that are tried in pairs, at most: those first that save most for what
#: they use, and those that cost least for what they free.
_MOST_PAIRED = 600

#: A saving that is smaller, as a share of the cost, may be rounding.
_LEAST = 1e-9


@dataclass(frozen=True)
class Options:
    """A layer's options: ``costs`` (n,), and ``uses`` (n, r) of each of r things that run out."""

    costs: Floats
    uses: Floats


def exchanged(
    picks: Mapping[str, int], options: Mapping[str, Options], room: Floats
) -> dict[str, int]:
    """Return picks that no change of one layer makes better, nor a change of two that is tried.

    Of single changes the largest saving is made first. A pair is looked for where none is left: one
    layer takes what another gives. Of a large network the most promising changes alone are paired.

    Args:
        picks: an option of each layer, which keep all limits.
        options: of the same layers.
        room: what picks leave of each thing, (r,), none negative.
    """
    found, whole = dict(picks), room + _used(picks, options)
    while True:
        moves, left = _Moves.of(found, options), whole - _used(found, options)
        chosen = moves.best_single(left) or moves.best_pair(left)
        if not chosen:
            return found
        for move in chosen:
            found[moves.names[moves.owner[move]]] = int(moves.option[move])


def _used(picks: Mapping[str, int], options: Mapping[str, Options]) -> Floats:
    used: Floats = np.sum([options[name].uses[pick] for name, pick in picks.items()], axis=0)
    return used


@dataclass(frozen=True)
class _Moves:
    """Changes of single layers: what each costs more (m,), and uses more (m, r)."""

    names: list[str]
    owner: NDArray[np.int64]
    option: NDArray[np.int64]
    costs: Floats
    uses: Floats
    least: float

    @classmethod
    def of(cls, picks: Mapping[str, int], options: Mapping[str, Options]) -> "_Moves":
        owner, option, costs, uses = [], [], [], []
        for number, (name, pick) in enumerate(picks.items()):
            own = options[name]
            others = np.delete(np.arange(len(own.costs)), pick)
            owner.append(np.full(len(others), number))
            option.append(others)
            costs.append(own.costs[others] - own.costs[pick])
            uses.append(own.uses[others] - own.uses[pick])
        whole = sum(float(options[name].costs[pick]) for name, pick in picks.items())
        return cls(
            list(picks),
            np.concatenate(owner),
            np.concatenate(option),
            np.concatenate(costs),
            np.concatenate(uses),
            _LEAST * whole,
        )

    def best_single(self, room: Floats) -> tuple[int, ...]:
        """Return the change that saves most within the room; empty where none saves."""
        costs = np.where((self.uses <= room).all(1), self.costs, 0.0)
        best = int(costs.argmin()) if len(costs) else 0
        return (best,) if len(costs) and costs[best] < -self.least else ()

    def best_pair(self, room: Floats) -> tuple[int, ...]:
        """Return two layers' changes that save most together; empty where none save."""
        span = np.maximum(np.abs(self.uses).max(0, initial=0.0), 1e-300)
        needs = np.maximum(self.uses / span, 0).sum(1)
        frees = np.maximum(-self.uses / span, 0).sum(1)
        saving = np.flatnonzero(self.costs < 0)
        saving = saving[np.argsort(self.costs[saving] / (needs[saving] + 1e-9), kind="stable")]
        freeing = np.flatnonzero(frees > 0)
        ranks = self.costs[freeing] / (frees[freeing] + 1e-9)
        freeing = freeing[np.argsort(ranks, kind="stable")]
        saving, freeing = saving[:_MOST_PAIRED], freeing[:_MOST_PAIRED]
        costs = self.costs[saving][:, None] + self.costs[freeing]
        fits = (costs < -self.least) & (self.owner[saving][:, None] != self.owner[freeing])
        for which, left in enumerate(room):
            fits &= self.uses[saving, which][:, None] + self.uses[freeing, which] <= left
        if not fits.any():
            return ()
        first, second = np.unravel_index(int(np.where(fits, costs, 0.0).argmin()), costs.shape)
        return int(saving[first]), int(freeing[second])
