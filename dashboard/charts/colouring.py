"""Trials in groups that colours tell apart: by a hyperparameter, or by an objective."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

from dashboard.theme import Palette
from mlgsearch.results.analysis.effects.hyperparameters import is_wide
from mlgsearch.results.analysis.trial_columns import Floats

#: So many groups can be distinguished; numbers of more values are put into ranges of equally many.
MOST_GROUPS = 5

#: Of trials that are in no group.
NO_GROUP = -1


@dataclass(frozen=True, eq=False)
class Colouring:
    """Groups of a study's trials.

    ``title`` says what they are of, ``labels`` names each, and ``groups`` (n,) has a place in
    ``labels`` per trial, or ``NO_GROUP``. Those that ``is_ordered`` have the colours of a ramp.
    """

    title: str
    labels: tuple[str, ...]
    groups: NDArray[np.int64]
    is_ordered: bool

    @classmethod
    def of_numbers(cls, title: str, values: Floats) -> Self | None:
        """Group numbers, shape (n,): each value by itself, or where they are many, in ranges."""
        known = values[np.isfinite(values)]
        distinct = np.unique(known)
        if len(distinct) < 2:
            return None
        if len(distinct) <= MOST_GROUPS:
            groups = np.where(np.isfinite(values), np.searchsorted(distinct, values), NO_GROUP)
            return cls(title, tuple(f"{one:g}" for one in distinct), groups, is_ordered=True)
        edges = _edges(known)
        # NaN would be sorted behind the last edge.
        groups = np.where(np.isfinite(values), np.searchsorted(edges, values, "right"), NO_GROUP)
        bounds = [f"{edge:.3g}" for edge in edges]
        labels = [f"below {bounds[0]}"]
        labels += [f"{low} to {high}" for low, high in pairwise(bounds)]
        return cls(title, (*labels, f"from {bounds[-1]}"), groups, is_ordered=True)

    @classmethod
    def of_words(cls, title: str, values: Sequence[object]) -> Self | None:
        """Group words, the most frequent first; the rarest share a group."""
        words = ["" if value is None else str(value) for value in values]
        names, counts = np.unique([word for word in words if word], return_counts=True)
        if len(names) < 2:
            return None
        ranked = names[np.argsort(-counts, kind="stable")].tolist()
        if len(ranked) > MOST_GROUPS:
            ranked = [*ranked[: MOST_GROUPS - 1], "others"]
        places = {name: place for place, name in enumerate(ranked)}
        last = len(ranked) - 1
        groups = [places.get(word, last) if word else NO_GROUP for word in words]
        return cls(title, tuple(ranked), np.array(groups, dtype=np.int64), is_ordered=False)

    def colours(self, palette: Palette) -> list[str]:
        """Return a colour per group."""
        if not self.is_ordered:
            return list(palette.series[: len(self.labels)])
        places = np.linspace(0, len(palette.ramp) - 1, len(self.labels)).round().astype(int)
        return [palette.ramp[place] for place in places]


def _edges(known: Floats) -> Floats:
    """Return the bounds between ranges of about equally many values, rounded for reading."""
    shares = np.arange(1, MOST_GROUPS) / MOST_GROUPS
    edges = np.quantile(np.log10(known) if is_wide(known) else known, shares)
    edges = 10**edges if is_wide(known) else edges
    rounded = np.unique([_rounded(edge, float(np.ptp(known))) for edge in edges])
    # A bound that all are above, or below, bounds nothing.
    inner = rounded[(rounded > known.min()) & (rounded <= known.max())]
    return inner if len(inner) else np.array([float(np.median(known))])


def _rounded(edge: float, span: float) -> float:
    """Round to two digits of the value, or of the span where that is much smaller."""
    scale = min(abs(edge), span) or 1.0
    return round(float(edge), 1 - math.floor(math.log10(scale)))
