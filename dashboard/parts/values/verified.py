"""What `verify` found of a trial, in words and as cells of a table."""

from collections.abc import Sequence

from dashboard.parts.table import Column, Row
from mlgsearch.results.analysis.uncertainty.verification import (
    VerifiedPoint,
    likely,
    with_spread,
)
from mlgsearch.words import counted

#: Keys of a row, as in `front --verified`.
KEYS = ("test_accuracy", "test_accuracy_std", "front_probability")


def longest(points: Sequence[VerifiedPoint]) -> dict[int, VerifiedPoint]:
    """Return what is known of each trial by its longest trainings, by number."""
    return {point.trial.number: point for point in sorted(points, key=lambda point: point.epochs)}


def verified(point: VerifiedPoint) -> str:
    """Write the mean test accuracy with its spread, and how likely it is on the front."""
    said = (
        f"verified: {with_spread(point.test_accuracy, point.test_std)} on the test part, "
        f"{counted(len(point.seeds), 'seed')}"
    )
    if point.front_probability is None:
        return said
    return f"{said}, on the front with {likely(point.front_probability)}"


def verified_fields(point: VerifiedPoint | None) -> dict[str, float | None]:
    """Return a verified student as fields of a row; all None where nothing is verified."""
    if point is None:
        return dict.fromkeys(KEYS)
    values = (point.test_accuracy, point.test_std, point.front_probability)
    return dict(zip(KEYS, values, strict=True))


def _shown_accuracy(row: Row) -> str:
    mean = row["test_accuracy"]
    return "" if mean is None else with_spread(mean, row["test_accuracy_std"])


def _shown_probability(row: Row) -> str:
    return "" if row["front_probability"] is None else likely(row["front_probability"])


#: Columns of a table of trials, of a study in which some are verified.
VERIFIED = (
    Column(
        "test_accuracy",
        "test accuracy",
        _shown_accuracy,
        is_number=True,
        hint="Mean over the seeds that verified it, and their spread. Sort by test accuracy",
    ),
    Column(
        "front_probability",
        "on the front",
        _shown_probability,
        is_number=True,
        hint="How likely no other verified student dominates it. Sort by that",
    ),
)
