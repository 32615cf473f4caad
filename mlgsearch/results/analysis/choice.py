"""From a front to one trial: the rule, and what its neighbours trade.

What decides is what to expect of a trial (``expectation``), not what the search saw of it: the best
that was seen is partly luck.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from mlgsearch.errors import UserError
from mlgsearch.results.analysis.front import pareto_rows
from mlgsearch.results.analysis.neighbours import Trade, beside, trade
from mlgsearch.results.analysis.trial_columns import Floats, Rows, TrialColumns

if TYPE_CHECKING:
    from mlgsearch.results.analysis.uncertainty.expectation import Expectations  # loads scipy

LimitKind = Literal["max_kb", "max_ratio", "max_ms", "within", "at_least"]

#: Packed files are counted in units of this many bytes, here and in every table.
KILOBYTE = 1000

#: Accuracies are counts of samples divided; a hair less than a limit still meets it.
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Limit:
    """What a student must keep to.

    ``max_kb`` bounds its packed file in units of 1,000 bytes, ``max_ratio`` its memory ratio,
    ``max_ms`` its predicted latency;
    ``within`` bounds by how many percentage points its expected accuracy may be below the
    teacher's, ``at_least`` that accuracy itself, in percent.
    """

    kind: LimitKind
    value: float

    @property
    def size(self) -> str:
        """The objective that says which student is smaller."""
        return {"max_kb": "packed_bytes", "max_ms": "latency_ms"}.get(self.kind, "memory_ratio")

    @property
    def is_on_size(self) -> bool:
        """Whether it bounds the size; else it bounds the accuracy to expect."""
        return self.kind in ("max_kb", "max_ratio", "max_ms")

    @property
    def option(self) -> str:
        """The option of the command line that sets it."""
        return f"--{self.kind.replace('_', '-')}"


class LimitError(UserError):
    """No student keeps to a limit, or it cannot be known.

    The message names the option of the command line; ``why`` says the same without it.
    """

    def __init__(self, limit: Limit, why: str, *, possible: str = "") -> None:
        said = f"; the {possible}" if possible else ""
        self.why = why + said.format(option="")
        asked = f" {limit.value:g}" if possible else ""
        super().__init__(f"{limit.option}{asked}: {why}{said.format(option=f'{limit.option} ')}")


@dataclass(frozen=True)
class Choice:
    """The number of the trial that a limit picks, and others on the front of expectation and size.

    ``smaller`` and ``larger`` are next to it on that front, None at its ends; ``fitting`` of the
    ``total`` students on it keep to the limit. ``tied_with`` is a larger one of which more is
    expected, by less than the noise; None where there is none. Points of accuracy are expected
    ones.
    """

    trial: int
    smaller: Trade | None
    larger: Trade | None
    fitting: int
    total: int
    tied_with: Trade | None = None


def smaller_ties(numbers: Sequence[int], expectations: "Expectations") -> dict[int, int]:
    """Return of each trial that leads a smaller one by less than the noise the smallest such.

    Args:
        numbers: of the trials, smallest student first.
        expectations: of their study.
    """
    known = [number for number in numbers if expectations.find(number) is not None]
    ties: dict[int, int] = {}
    for place, number in enumerate(known):
        tied = (other for other in known[:place] if expectations.is_tie(number, other))
        smallest = next(tied, None)
        if smallest is not None:
            ties[number] = smallest
    return ties


def choose(
    columns: TrialColumns,
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
        columns: of the study's trials.
        limit: what to keep to.
        expectations: of the study.
        teacher_accuracy: a fraction, on the part that the expectations are of; ``within`` needs it.

    Raises:
        UserError: no trial keeps to the limit, or none is COMPLETE; the message says the nearest
            limit that one keeps to.
    """
    if not math.isfinite(limit.value):
        raise LimitError(limit, f"expected a finite number, got {limit.value}")
    best = _front(columns, limit, expectations)
    if not len(best.rows):
        raise UserError("no trial is COMPLETE yet: there is nothing to choose from")
    if limit.kind == "within":
        if teacher_accuracy is None:
            raise LimitError(limit, "the teacher's accuracy is not known yet; name a size instead")
        fits = best.expected >= teacher_accuracy - limit.value / 100 - _TOLERANCE
    elif limit.kind == "at_least":
        fits = best.expected >= limit.value / 100 - _TOLERANCE
    else:
        # Bytes are whole: what a product of floats loses does not exclude the file it names.
        fits = best.sizes <= (
            limit.value * KILOBYTE + 1e-6 if limit.kind == "max_kb" else limit.value
        )
    fitting = np.flatnonzero(fits)
    if not len(fitting):
        raise _nothing_fits(best, limit, teacher_accuracy)
    leader = int(fitting[-1 if limit.is_on_size else 0])
    numbers = best.numbers
    place = next(
        place
        for place in fitting.tolist()
        if place == leader or expectations.is_tie(numbers[place], numbers[leader])
    )
    expected = np.full(len(columns), np.nan)
    expected[best.rows] = best.expected

    def traded(row: int | None) -> Trade | None:
        return None if row is None else trade(columns, expected, int(best.rows[place]), row)

    smaller, larger = beside(best.rows, place)
    return Choice(
        trial=numbers[place],
        smaller=traded(smaller),
        larger=traded(larger),
        fitting=len(fitting),
        total=len(best.rows),
        tied_with=None if place == leader else traded(int(best.rows[leader])),
    )


class _Front(NamedTuple):
    """Rows of trials of which more is expected than of any that is no larger, smallest first.

    ``expected`` (k,) are fractions, ``sizes`` (k,) in the limit's unit, ``numbers`` the trials'.
    """

    rows: Rows
    expected: Floats
    sizes: Floats
    numbers: list[int]


def _front(columns: TrialColumns, limit: Limit, expectations: "Expectations") -> _Front:
    rows = columns.usable_rows(("accuracy", limit.size))
    numbers = columns.number[rows].tolist()
    values = np.column_stack(
        [expectations.accuracies(numbers), columns.objective(limit.size)[rows]]
    )
    best = pareto_rows(values, [True, False])
    best = best[np.argsort(values[best, 1], kind="stable")]
    return _Front(rows[best], values[best, 0], values[best, 1], [numbers[i] for i in best])


def _nothing_fits(best: _Front, limit: Limit, teacher_accuracy: float | None) -> LimitError:
    if limit.kind == "within":
        assert teacher_accuracy is not None
        lost = 100 * (teacher_accuracy - best.expected[-1])
        return LimitError(
            limit,
            f"the best student, trial {best.numbers[-1]}, is expected {lost:.2f} "
            f"points below the teacher's {teacher_accuracy:.2%}",
            possible=f"least possible is {{option}}{_rounded_up(lost, 2)}",
        )
    if limit.kind == "at_least":
        most = math.floor(1e4 * best.expected[-1] + 1e-6) / 100
        return LimitError(
            limit,
            f"of the best student, trial {best.numbers[-1]}, {best.expected[-1]:.2%} is expected",
            possible=f"most possible is {{option}}{most:.2f}",
        )
    size = best.sizes[0]
    if limit.kind == "max_kb":
        least = f"{size / KILOBYTE:.3f}"  # bytes are whole: three digits are exact
        has = f"the smallest file, of trial {best.numbers[0]}, has {least} KB (of 1,000 bytes)"
    elif limit.kind == "max_ms":
        least = _rounded_up(size, 3)
        has = f"the fastest student, trial {best.numbers[0]}, takes {size:.4g} ms"
    else:
        least = _rounded_up(size, 4)
        has = f"the smallest student, trial {best.numbers[0]}, has memory ratio {size:.4g}"
    return LimitError(limit, has, possible=f"least possible is {{option}}{least}")


def _rounded_up(value: float, digits: int) -> str:
    """Write a number with so many decimals, at least as large as it is."""
    scale = 10**digits
    return f"{math.ceil(value * scale - 1e-6) / scale:.{digits}f}"
