"""What other trials of a front offer instead of one, and what they cost."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlgsearch.records import TrialState
from mlgsearch.results.analysis.trial_columns import Floats, Rows, TrialColumns
from mlgsearch.words import TIMES

_PAIR = ("accuracy", "memory_ratio")


@dataclass(frozen=True)
class Trade:
    """Another trial, seen from one: ``points`` more accurate (in percent), ``factor`` as large.

    ``factor`` is of the memory ratio; ``bytes_more`` is how much larger the packed file is, None
    where one of the two is not known.
    """

    number: int
    points: float
    factor: float
    bytes_more: int | None = None

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
    def labelled(self) -> list[tuple[str, Trade]]:
        """The others that there are, each with what it is to the trial."""
        others = (
            ("Better, and no larger", self.better),
            ("Next smaller", self.smaller),
            ("Next larger", self.larger),
        )
        return [(label, trade) for label, trade in others if trade is not None]


def trade(columns: TrialColumns, accuracy: Floats, own: int, other: int) -> Trade:
    """Compare the trials of two rows.

    Args:
        columns: of the study's n trials.
        accuracy: what accuracies are compared, fractions, shape (n,).
        own: the row of the trial that is looked from.
        other: the row of the other one.
    """
    bytes_more = float(columns.packed_bytes[other] - columns.packed_bytes[own])
    return Trade(
        int(columns.number[other]),
        100 * float(accuracy[other] - accuracy[own]),
        float(columns.memory_ratio[other] / columns.memory_ratio[own]),
        None if np.isnan(bytes_more) else int(bytes_more),
    )


def beside(front: Rows | Sequence[int], place: int) -> tuple[int | None, int | None]:
    """Return the rows before and after a place of a front that is sorted by size; None at an end.

    ``place`` is from 0 to ``len(front) - 1``.
    """
    smaller = int(front[place - 1]) if place > 0 else None
    larger = int(front[place + 1]) if place + 1 < len(front) else None
    return smaller, larger


def neighbours(columns: TrialColumns, number: int) -> Neighbours | None:
    """Look around a trial; None where it is not COMPLETE, or not there."""
    rows = columns.rows_of([number])
    if not len(rows) or not columns.is_in(TrialState.COMPLETE)[rows[0]]:
        return None
    own = int(rows[0])
    front = columns.front_rows(_PAIR)  # accuracy grows with size
    place = (
        int(np.searchsorted(columns.memory_ratio[front], columns.memory_ratio[own], "right")) - 1
    )
    trades = [
        None if row is None else trade(columns, columns.accuracy, own, row)
        for row in ((int(front[place]),) if own not in front else beside(front, place))
    ]
    return Neighbours(*trades) if own in front else Neighbours(better=trades[0])
