"""What to expect of trials, in words and as cells of a table."""

from dashboard.parts.table import Column, Row
from mlgsearch.results.analysis.uncertainty.expectation import Expectation
from mlgsearch.words import counted

#: Keys of a row that are downloaded beside the column; see ``expectation_fields``.
EXTRA = ("expected_low", "expected_high", "verified_seeds")


def expected(found: Expectation) -> str:
    """Write an expectation with its interval, and that it was verified."""
    return _written(found.accuracy, found.low, found.high, found.seeds)


def _written(accuracy: float, low: float, high: float, seeds: int) -> str:
    interval = f"{100 * accuracy:.1f} % ({100 * low:.1f} to {100 * high:.1f})"
    if not seeds:
        return interval
    return f"{interval}, verified ({counted(seeds, 'seed')})"


def _shown(row: Row) -> str:
    if row["expected_accuracy"] is None:
        return ""
    return _written(*(row[key] for key in ("expected_accuracy", *EXTRA)))


EXPECTED = Column(
    "expected_accuracy",
    "expected",
    _shown,
    is_number=True,
    hint="Of a new training on new images, and the range of 90 % of them. Sort by expected",
)
