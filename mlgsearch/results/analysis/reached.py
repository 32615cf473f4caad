"""What a study's trials come to, in the figures that are shown of every study."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from mlgsearch.records import TrialState
from mlgsearch.results.analysis.front import Values, dominated_volume


@dataclass(frozen=True)
class Reached:
    """How many trials are in each state, and what the COMPLETE ones reached.

    ``counts`` has every state, if only with 0. ``best_accuracy`` is a fraction; it and
    ``smallest_memory_ratio`` are None without any. ``hypervolume`` is of the study's objectives,
    counted from its stored reference.
    """

    counts: Mapping[TrialState, int]
    best_accuracy: float | None
    smallest_memory_ratio: float | None
    hypervolume: float

    @classmethod
    def of(
        cls,
        counts: Mapping[TrialState, int],
        column: Callable[[str], Values],
        objectives: Sequence[str],
        reference: Mapping[str, float],
    ) -> Self:
        """Sum up the COMPLETE trials.

        Args:
            counts: of all trials, by state.
            column: returns an objective's values of the COMPLETE trials as shown, shape (n,), NaN
                where not known.
            objectives: the study's.
            reference: its ``hypervolume_reference``.
        """
        return cls(
            counts,
            max(_finite(column("accuracy")), default=None),
            min(_finite(column("memory_ratio")), default=None),
            dominated_volume(
                np.column_stack([column(name) for name in objectives]), objectives, reference
            ),
        )

    @property
    def finished(self) -> int:
        """How many trials have ended, whatever their state."""
        return sum(count for state, count in self.counts.items() if state.is_finished)


def _finite(values: Values) -> list[float]:
    found: list[float] = values[np.isfinite(values)].tolist()
    return found
