"""A study as it is now: what the command line, the page and the API all answer from."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from mlgsearch.records import StudyRecord, TrialRecord, TrialState, VerificationRecord
from mlgsearch.results.analysis.reached import Reached
from mlgsearch.results.analysis.trial_columns import Course, Rows, TrialColumns
from mlgsearch.results.analysis.uncertainty.verification import VerifiedPoint, verified_points
from mlgsearch.results.database.store import ResultStore
from mlgsearch.results.database.verification_store import VerificationStore
from mlgsearch.results.read.study_reader import StudyReader
from mlgsearch.results.read.trial_page import some_trials

if TYPE_CHECKING:
    from mlgsearch.results.analysis.uncertainty.expectation import Expectations


@dataclass(frozen=True, eq=False)
class StudyResults:
    """A study, its trials by column, and what `verify` found of them.

    As none of it changes, what follows from it is worked out once, when it is first asked for, in
    whatever thread.
    """

    record: StudyRecord
    columns: TrialColumns
    runs: Sequence[VerificationRecord]
    _lock: Lock = field(default_factory=Lock, init=False, repr=False)

    def is_as(self, other: "StudyResults") -> bool:
        """Whether another says the same; columns are compared by identity, see ``StudyReader``."""
        same = self.columns is other.columns and list(self.runs) == list(other.runs)
        return same and self.record == other.record

    @property
    def front(self) -> Rows:
        """The rows of the front of the study's objectives, smallest memory ratio first."""
        return self.columns.front_rows(self.record.objectives)

    @property
    def front_numbers(self) -> list[int]:
        """The numbers of the trials on the front, in the order of `front`."""
        numbers: list[int] = self.columns.number[self.front].tolist()
        return numbers

    @property
    def course(self) -> Course:
        """How the hypervolume grew, from the study's own reference."""
        record = self.record
        return self.columns.hypervolume_over_trials(record.objectives, record.hypervolume_reference)

    @cached_property
    def reached(self) -> Reached:
        """What the trials come to."""
        columns, record = self.columns, self.record
        return Reached.of(
            columns.counts(),
            columns.at(columns.is_in(TrialState.COMPLETE)).objective,
            record.objectives,
            record.hypervolume_reference,
        )

    @property
    def expectations(self) -> "Expectations":
        """What to expect of the trials."""
        with self._lock:
            return self._expectations

    @cached_property
    def _expectations(self) -> "Expectations":
        from mlgsearch.results.analysis.uncertainty.expectation import Expectations  # loads scipy

        return Expectations.of_columns(self.columns, self.runs, self.record.validation_samples)


def read_results(engine: Engine, study: str) -> StudyResults:
    """Read a study once; who asks often keeps a ``StudyReaders``.

    Raises:
        StudyNotFoundError: there is no such study.
    """
    return StudyResults(
        ResultStore(engine).study(study),
        StudyReader(engine, study).read(),
        VerificationStore(engine).verifications(study),
    )


def front_trials(engine: Engine, results: StudyResults) -> list[TrialRecord]:
    """Read the trials on the front, smallest memory ratio first."""
    numbers = results.front_numbers
    found = {trial.number: trial for trial in some_trials(engine, results.record.name, numbers)}
    return [found[number] for number in numbers]


def verified_students(engine: Engine, results: StudyResults) -> list[VerifiedPoint]:
    """Read the verified trials, and sum up what `verify` found: see ``verified_points``."""
    numbers = sorted({run.trial for run in results.runs})
    trials = some_trials(engine, results.record.name, numbers)
    return verified_points(trials, results.runs, results.record.objectives)
