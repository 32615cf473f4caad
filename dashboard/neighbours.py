"""What a trial's neighbours on the front offer instead of it."""

from dataclasses import dataclass

import numpy as np

from mlgsearch.records import TrialState
from mlgsearch.results.analysis.trial_columns import TrialColumns
from mlgsearch.results.charts.axis import TIMES

_PAIR = ("accuracy", "memory_ratio")


@dataclass(frozen=True)
class Trade:
    """Another trial, seen from one: ``points`` more accurate (in percent), ``factor`` as large."""

    number: int
    points: float
    factor: float

    @property
    def sentence(self) -> str:
        """What one gets and what one pays."""
        gain = f"{abs(self.points):.2f} points {'more' if self.points > 0 else 'less'} accuracy"
        if self.factor < 1:
            size = f"{TIMES}{1 / self.factor:.2f} smaller"
            return f"{size}, {gain}"
        return f"{gain}, {TIMES}{self.factor:.2f} the memory"


@dataclass(frozen=True)
class Neighbours:
    """The front of accuracy and memory ratio around a COMPLETE trial.

    ``smaller`` and ``larger`` are next to it where it is on that front, None at an end. ``better``
    is the most accurate of those that are no larger, where it is not.
    """

    smaller: Trade | None = None
    larger: Trade | None = None
    better: Trade | None = None

    @property
    def told(self) -> list[tuple[str, Trade]]:
        """The others that there are, each with what it is to the trial."""
        others = (
            ("Better, and no larger", self.better),
            ("Next smaller", self.smaller),
            ("Next larger", self.larger),
        )
        return [(label, trade) for label, trade in others if trade is not None]


def neighbours(columns: TrialColumns, number: int) -> Neighbours | None:
    """Look around a trial; None where it is not COMPLETE, or not there."""
    rows = columns.rows_of([number])
    if not len(rows) or not columns.is_in(TrialState.COMPLETE)[rows[0]]:
        return None
    own = rows[0]
    front = columns.front_rows(_PAIR)  # accuracy grows with size

    def trade(row: int) -> Trade:
        return Trade(
            int(columns.number[row]),
            100 * float(columns.accuracy[row] - columns.accuracy[own]),
            float(columns.memory_ratio[row] / columns.memory_ratio[own]),
        )

    place = int(np.searchsorted(columns.memory_ratio[front], columns.memory_ratio[own], "right"))
    if own not in front:
        return Neighbours(better=trade(front[place - 1]))
    return Neighbours(
        smaller=trade(front[place - 2]) if place > 1 else None,
        larger=trade(front[place]) if place < len(front) else None,
    )
