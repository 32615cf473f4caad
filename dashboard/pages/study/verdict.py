"""What a study comes to in a sentence: how small a student as good as its teacher is."""

from dashboard.parts.values.student import written_bytes
from mlgsearch.errors import UserError
from mlgsearch.results.analysis.choice import Limit
from mlgsearch.results.read.study_choice import StudyChoice, teacher_of
from mlgsearch.results.read.study_results import StudyResults
from mlgsearch.words import TIMES

#: So many points below the teacher a student is still as good, for the sentence.
_POINTS = 1.0


def verdict(results: StudyResults) -> str | None:
    """Return the sentence of `smallest_as_good`, and how many images a point is."""
    said = smallest_as_good(results)
    return None if said is None else said + _one_point(results)


def smallest_as_good(results: StudyResults) -> str | None:
    """Name the smallest student within a point of the teacher, or how near the best comes.

    By what is expected, as `choose`. None without a teacher's accuracy or a COMPLETE trial.
    """
    teacher, part = teacher_of(results)
    if teacher is None:
        return None
    try:
        number = StudyChoice.of(results, Limit("within", _POINTS)).choice.trial
        said = f"Expected within {_POINTS:g} point of the teacher{part}"
    except UserError:
        known = results.columns.number[results.columns.usable_rows(("accuracy", "memory_ratio"))]
        if not len(known):
            return None
        number = int(known[results.expectations.accuracies(known.tolist()).argmax()])
        lost = 100 * (teacher - results.expectations[number].accuracy)
        said = f"Nearest to the teacher{part}, {lost:.2f} points below it expected"
    return f"{said}: {_size(results, number)}, trial {number}."


def _size(results: StudyResults, number: int) -> str:
    columns = results.columns
    (row,) = columns.rows_of([number])
    smaller = f"{TIMES}{1 / columns.memory_ratio[row]:.1f} smaller"
    packed = columns.packed_bytes[row]
    return f"{smaller}, {written_bytes(packed)}" if packed > 0 else smaller  # NaN is not


def _one_point(results: StudyResults) -> str:
    """Count a point in images of the part of the data that what is expected is of."""
    is_of_test_part = results.expectations.is_of_test_part
    samples = _test_samples(results) if is_of_test_part else results.record.validation_samples
    if samples is None:
        return ""
    part = "test" if is_of_test_part else "validation"
    return f" One point is {samples / 100:,g} of the {samples:,} images of the {part} part."


def _test_samples(results: StudyResults) -> int | None:
    """Return on how many images `verify` measured; None where its runs disagree."""
    known = {run.test_samples for run in results.runs if run.test_samples is not None}
    return known.pop() if len(known) == 1 else None
