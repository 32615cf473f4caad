"""From a front to one trial: the rule, and what its neighbours trade.

What decides is what to expect of a trial (``expectation``), not what the search saw of it: the best
that was seen is partly luck.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mlgsearch.errors import UserError
from mlgsearch.records import TrialRecord, TrialState

if TYPE_CHECKING:
    from mlgsearch.results.analysis.expectation import Expectations  # loads scipy

LimitKind = Literal["max_kb", "max_ratio", "within"]

#: Packed files are counted in units of this many bytes, here and in every table.
KILOBYTE = 1000

#: Accuracies are counts of samples divided; a hair less than a limit still meets it.
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Limit:
    """What a student must keep to.

    ``max_kb`` bounds its packed file in units of 1,000 bytes, ``max_ratio`` its memory ratio;
    ``within`` bounds by how many percentage points its expected accuracy may be below the
    teacher's.
    """

    kind: LimitKind
    value: float

    @property
    def size(self) -> str:
        """The objective that says which student is smaller."""
        return "packed_bytes" if self.kind == "max_kb" else "memory_ratio"


@dataclass(frozen=True)
class Choice:
    """The trial that a limit picks, and its neighbours on the front of expectation and size.

    ``smaller`` and ``larger`` are None at the front's ends; ``fitting`` of the ``total`` students
    on that front keep to the limit. ``tied_with`` is a larger one of which more is expected, by
    less than the noise; None where there is none.
    """

    trial: TrialRecord
    smaller: TrialRecord | None
    larger: TrialRecord | None
    fitting: int
    total: int
    tied_with: TrialRecord | None = None


def choose(
    trials: Iterable[TrialRecord],
    limit: Limit,
    expectations: "Expectations",
    *,
    teacher_accuracy: float | None = None,
) -> Choice:
    """Pick one trial: the best that is small enough, or the smallest that is good enough.

    Only COMPLETE trials whose size is known take part, and of those only the front of expected
    accuracy and the limit's size, where no two are equal in either: so the choice is unique. With
    a limit on size, the smallest is picked that ties with the one of which most is expected.

    Args:
        trials: of one study.
        limit: what to keep to.
        expectations: of the study.
        teacher_accuracy: a fraction, on the part that the expectations are of; ``within`` needs it.

    Raises:
        UserError: no trial keeps to the limit, or none is COMPLETE; the message says the nearest
            limit that one keeps to.
    """
    if not math.isfinite(limit.value):
        raise UserError(f"{_option(limit)}: expected a finite number, got {limit.value}")
    known = [
        trial
        for trial in trials
        if trial.state is TrialState.COMPLETE and trial.objective_value(limit.size) is not None
    ]
    if not known:
        raise UserError("no trial is COMPLETE yet: there is nothing to choose from")
    best = _front(known, limit, expectations)
    if limit.kind == "within":
        if teacher_accuracy is None:
            raise UserError(
                "--within: the teacher's accuracy is not known yet; name a size instead"
            )
        least = teacher_accuracy - limit.value / 100 - _TOLERANCE
        fitting = [trial for trial in best if expectations[trial.number].accuracy >= least]
    else:
        # Bytes are whole: what a product of floats loses does not exclude the file it names.
        largest = limit.value * KILOBYTE + 1e-6 if limit.kind == "max_kb" else limit.value
        fitting = [trial for trial in best if _size(trial, limit) <= largest]
    if not fitting:
        raise UserError(_nothing_fits(best, limit, expectations, teacher_accuracy))
    leader = fitting[0 if limit.kind == "within" else -1]
    chosen = next(trial for trial in fitting if _ties(trial, leader, expectations))
    place = best.index(chosen)
    return Choice(
        trial=best[place],
        smaller=best[place - 1] if place > 0 else None,
        larger=best[place + 1] if place + 1 < len(best) else None,
        fitting=len(fitting),
        total=len(best),
        tied_with=None if chosen is leader else leader,
    )


def _front(
    trials: Iterable[TrialRecord], limit: Limit, expectations: "Expectations"
) -> list[TrialRecord]:
    """Return the trials of which more is expected than of any that is no larger, smallest first."""

    def expected(trial: TrialRecord) -> float:
        return expectations[trial.number].accuracy

    best: list[TrialRecord] = []
    for trial in sorted(trials, key=lambda t: (_size(t, limit), -expected(t), t.number)):
        if not best or expected(trial) > expected(best[-1]):
            best.append(trial)
    return best


def _ties(trial: TrialRecord, leader: TrialRecord, expectations: "Expectations") -> bool:
    return trial is leader or expectations.is_tie(trial.number, leader.number)


def _size(trial: TrialRecord, limit: Limit) -> float:
    value = trial.objective_value(limit.size)
    assert value is not None
    return value


def _option(limit: Limit) -> str:
    return f"--{limit.kind.replace('_', '-')}"


def _nothing_fits(
    best: list[TrialRecord],
    limit: Limit,
    expectations: "Expectations",
    teacher_accuracy: float | None,
) -> str:
    option, asked = _option(limit), f"{limit.value:g}"
    if limit.kind == "within":
        assert teacher_accuracy is not None
        nearest = best[-1]
        lost = 100 * (teacher_accuracy - expectations[nearest.number].accuracy)
        return (
            f"{option} {asked}: the best student, trial {nearest.number}, is expected {lost:.2f} "
            f"points below the teacher's {teacher_accuracy:.2%}; the least possible is "
            f"{option} {_rounded_up(lost, 2)}"
        )
    nearest = best[0]
    if limit.kind == "max_kb":
        least = f"{_size(nearest, limit) / KILOBYTE:.3f}"  # bytes are whole: three digits are exact
        return (
            f"{option} {asked}: the smallest file, of trial {nearest.number}, has {least} KB "
            f"(of 1,000 bytes); the least possible is {option} {least}"
        )
    ratio = _size(nearest, limit)
    return (
        f"{option} {asked}: the smallest student, trial {nearest.number}, has memory ratio "
        f"{ratio:.4g}; the least possible is {option} {_rounded_up(ratio, 4)}"
    )


def _rounded_up(value: float, digits: int) -> str:
    """Write a number with so many decimals, at least as large as it is."""
    scale = 10**digits
    return f"{math.ceil(value * scale - 1e-6) / scale:.{digits}f}"
