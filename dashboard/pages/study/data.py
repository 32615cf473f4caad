"""What the page of a study reads from the database, and what it says of it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from dashboard.charts.hypervolume_chart import rises
from dashboard.database import Database
from dashboard.pages.study.filtered import Filtered
from dashboard.pages.study.view import StudyView
from mlgsearch.records import EpochRecord, StudyRecord, TrialState
from mlgsearch.results.analysis.effects.hyperparameters import Hyperparameters
from mlgsearch.results.analysis.trial_columns import Course, Rows, TrialColumns
from mlgsearch.results.analysis.uncertainty.verification import VerifiedPoint
from mlgsearch.results.read.driving import Driving
from mlgsearch.results.read.study_results import StudyResults


@dataclass(frozen=True)
class StudyData:
    """A study as it is now, what `verify` found of its students, and their hyperparameters."""

    results: StudyResults
    verified: Sequence[VerifiedPoint]
    hyperparameters: Hyperparameters

    @property
    def record(self) -> StudyRecord:
        """What is stored of the study itself."""
        return self.results.record

    @property
    def columns(self) -> TrialColumns:
        """Its trials."""
        return self.results.columns

    @property
    def course(self) -> Course:
        """How the hypervolume grew."""
        return self.results.course

    @property
    def steps(self) -> Rows:
        """Where the hypervolume rose: places in ``course``, shape (k,)."""
        return rises(self.course[1])

    def filtered(self, view: StudyView) -> Filtered:
        """Return the trials that a view leaves."""
        return Filtered.of(self.results, view)

    def written(self, numbers: Sequence[int]) -> list[str]:
        """Return when trials, or their epochs, were last written."""
        rows = self.columns.rows_of(numbers)
        return [str(moment) for moment in self.columns.updated_at[rows]]

    def results_until(self, until: int | None) -> int | None:
        """Return how many of the first finished trials had a result, None for the present."""
        order = self.columns.finished_rows
        if until is None or until >= len(order):
            return None
        return int(np.isin(self.course[0], order[:until]).sum())

    def digest(self, *view: object) -> str:
        """Return a text that differs when a picture of the study in this view would."""
        return self._digest(np.arange(len(self.columns)), *view)

    def finished_digest(self, *view: object) -> str:
        """Return a text that differs when a picture of its finished trials in this view would."""
        return self._digest(self.columns.finished_rows, *view)

    def _digest(self, rows: Rows, *view: object) -> str:
        record, columns = self.record, self.columns
        digest = sha256(
            repr(
                (
                    view,
                    record.teacher_accuracy,
                    record.teacher_test_accuracy,
                    len(record.planned),
                    record.hypervolume_reference,
                    record.validation_samples,
                    record.uncompressed,
                )
            ).encode()
        )
        for column in (columns.number, columns.state, columns.accuracy, columns.finished_at):
            digest.update(column[rows].tobytes())
        for point in self.verified:
            digest.update(repr((point.trial.number, point.epochs, point.seeds)).encode())
        return digest.hexdigest()[:16]

    def state_digest(self, driving: Driving | None) -> str:
        """Return a text that differs when the study's state does."""
        columns = self.columns
        running = columns.number[columns.is_in(TrialState.RUNNING)].tolist()
        reached = self.results.reached.finished, self.record.n_trials, self.record.ended
        lease = (
            None
            if driving is None
            else (driving.lease.token, driving.lease.waits_for, driving.pace)
        )
        return repr((reached, lease, running, self.written(running)))

    def failures_digest(self) -> str:
        """Return a text that differs when another trial failed."""
        failed = self.columns.updated_at[self.columns.is_in(TrialState.FAIL)]
        return sha256(np.ascontiguousarray(failed).tobytes()).hexdigest()[:16]


def read_study(database: Database, name: str) -> StudyData:
    """Read a study.

    Raises:
        StudyNotFoundError: there is none of that name.
    """
    results = database.results(name)
    return StudyData(results, database.verified(results), database.hyperparameters(results))


def tell_hypervolume(data: StudyData) -> str:
    """State the hypervolume, and which trial raised it last."""
    rows, course = data.course
    if not len(rows):
        return "No trial has a result yet."
    last = int(np.argmax(course >= course[-1]))
    return (
        f"Hypervolume {course[-1]:.4f} after {trials_counted(len(rows))} with a result; "
        f"trial {data.columns.number[rows[last]]} raised it last, as number {last + 1:,}."
    )


def tell_moment(data: StudyData, view: StudyView) -> str:
    """Describe the moment of the study that a replay shows."""
    order = data.columns.finished_rows
    if view.until is None or view.until >= len(order):
        return "now"
    if not view.until:
        return "before the first trial finished"
    moment = data.columns.finished_at[order[view.until - 1]].item()
    return f"after {view.until:,} of {trials_counted(len(order))}, {moment:%Y-%m-%d %H:%M:%S} UTC"


def without_curves(
    selected: Sequence[int], left: Sequence[int], failed: Collection[int] = ()
) -> str:
    """Return what a chart of learning curves without curves says: why, or how to show one.

    ``left`` are those of the selected trials that the filters leave, ``failed`` those of them that
    failed.
    """
    if not selected:
        return "select trials to see how they learned"
    if not left:
        return "the filters leave out what is selected"
    if len(failed) < len(left):
        return "no epoch is known yet"
    return "failed before an epoch was finished"


def tell_curves(
    curves: Mapping[int, Sequence[EpochRecord]],
    selected: Sequence[int],
    left: Sequence[int],
    failed: Collection[int] = (),
) -> str:
    """Describe what the chart of learning curves shows; arguments as in `without_curves`."""
    if not selected:
        return "No trial is selected."
    if not left:
        return "The filters leave out what is selected."
    ends = [
        f"trial {number} {100 * curves[number][-1].validation_accuracy:.2f} % "
        f"after epoch {curves[number][-1].epoch}"
        for number in left
        if curves.get(number)
    ]
    without = [number for number in left if not curves.get(number)]
    said = [f"Validation accuracy: {', '.join(ends)}."] if ends else []
    if begun := [str(number) for number in without if number not in failed]:
        said.append(f"No epoch is known of trial {', '.join(begun)}.")
    if ended := [str(number) for number in without if number in failed]:
        said.append(f"Failed before an epoch was finished: trial {', '.join(ended)}.")
    return " ".join(said)


def trials_counted(count: int) -> str:
    """Write so many trials."""
    return f"{count:,} trial{'' if count == 1 else 's'}"
