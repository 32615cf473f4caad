"""The trial that a limit picks from a study, and why: for the command line and the page."""

from dataclasses import dataclass
from typing import Self

from mlgsearch.results.analysis.choice import Choice, Limit, choose
from mlgsearch.results.read.study_results import StudyResults


@dataclass(frozen=True)
class StudyChoice:
    """A choice from a study.

    ``teacher_accuracy`` is of the part of the data that the expectations are of; ``part`` says in
    words that this is the test part, and is empty otherwise.
    """

    results: StudyResults
    limit: Limit
    choice: Choice
    teacher_accuracy: float | None
    part: str

    @classmethod
    def of(cls, results: StudyResults, limit: Limit) -> Self:
        """Choose.

        Raises:
            UserError: see ``choose``.
        """
        teacher, part = teacher_of(results)
        choice = choose(results.columns, limit, results.expectations, teacher_accuracy=teacher)
        return cls(results, limit, choice, teacher, part)

    @property
    def why(self) -> str:
        """The rule in words, and how many students keep to it."""
        choice, limit = self.choice, self.limit
        value = f"{limit.value:g}"
        if limit.kind == "within":
            assert self.teacher_accuracy is not None
            rule = (
                f"the smallest student expected at most {value} point"
                f"{'' if limit.value == 1 else 's'} below the teacher's "
                f"{self.teacher_accuracy:.2%}{self.part}"
            )
        elif limit.kind == "at_least":
            rule = f"the smallest student expected at {value} % or more{self.part}"
        else:
            limited = {
                "max_kb": f"packed file is at most {value} KB",
                "max_ms": f"predicted latency is at most {value} ms",
                "max_ratio": f"memory ratio is at most {value}",
            }
            rule = f"the student with the highest expected accuracy whose {limited[limit.kind]}"
        if choice.tied_with is not None:
            tied = choice.tied_with
            rule += (
                f", tied with the larger trial {tied.number}, whose lead of {tied.points:.2f} "
                "points is within the noise"
            )
        front = f"the {choice.total} on the front of expected accuracies"
        return f"{rule} ({choice.fitting} of {front} fit)"


def teacher_of(results: StudyResults) -> tuple[float | None, str]:
    """Return the teacher's accuracy on the part the expectations are of, and that part in words."""
    record = results.record
    if results.expectations.is_of_test_part and record.teacher_test_accuracy is not None:
        return record.teacher_test_accuracy, " on the test part"
    return record.teacher_accuracy, ""
