"""Verified students, as a table for a terminal and in every other format of a front."""

from rich.markup import escape
from rich.table import Table

from mlgsearch.cli.printing.output import plain_table
from mlgsearch.records import StudyRecord
from mlgsearch.results.analysis.choice import KILOBYTE
from mlgsearch.results.analysis.uncertainty.verification import VerifiedPoint


def verified_table(study: StudyRecord, points: list[VerifiedPoint]) -> Table:
    """Show verified students, smallest first; accuracies are on the test part."""
    teacher = ""
    if study.teacher_test_accuracy is not None:
        teacher = f", teacher {study.teacher_test_accuracy:.2%}"
    samples = max((point.test_samples for point in points), default=0)
    on = f" on {samples:,} test samples" if points else ""
    has_lengths = len({point.epochs for point in points}) > 1
    names = ["trial", "test accuracy", "n", "packed", "searched", "on front", "smaller", "KB"]
    if has_lengths:
        names.insert(1, "epochs")
    title = f"Verified students of {escape(study.name)}: {len(points)}{on}{teacher}"
    table = plain_table(names, title=title)
    for point in points:
        cells = [
            str(point.trial.number),
            spread(point),
            str(len(point.seeds)),
            f"{point.packed_accuracy:.2%}",
            "" if point.trial.accuracy is None else f"{point.trial.accuracy:.2%}",
            _likely(point.front_probability),
            f"{1 / point.trial.sizes.memory_ratio:.1f}x",
            f"{point.packed_bytes / KILOBYTE:.1f}",
        ]
        if has_lengths:
            cells.insert(1, str(point.epochs))
        table.add_row(*cells)
    return table


def spread(point: VerifiedPoint) -> str:
    """Return the mean test accuracy and, where there are several seeds, its standard deviation."""
    if point.test_std is None:
        return f"{point.test_accuracy:.2%}"
    return f"{100 * point.test_accuracy:.2f} \N{PLUS-MINUS SIGN} {100 * point.test_std:.2f}%"


def _likely(probability: float | None) -> str:
    """Round to whole percents, but to 0 and 100 only what is certain."""
    if probability is None:
        return ""
    if 0 < probability < 0.005:
        return "<1%"
    return ">99%" if 0.995 <= probability < 1 else f"{probability:.0%}"
