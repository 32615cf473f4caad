"""The progress of `verify` as one JSON object per line; docs/json.md lists the fields."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from mlgsearch.cli.progress.events import StageEvents
from mlgsearch.records import StudyRecord, TrialState, VerificationRecord
from mlgsearch.results.analysis.uncertainty.verification import VerifiedPoint
from mlgsearch.results.formats import verified_rows


class VerifyEvents(StageEvents):
    """Writes the progress of `verify`; implements ``mlgsearch.study.verify.verify.VerifyView``."""

    def started(self, study: StudyRecord, runs: Sequence[VerificationRecord], at_once: int) -> None:
        """Write a ``started`` object."""
        self.write(
            "started",
            study=study.name,
            trials=sorted({run.trial for run in runs}),
            seeds=sorted({run.seed for run in runs}),
            runs=len(runs),
            finished=sum(run.state.is_finished for run in runs),
            slots=at_once,
            teacher_test_accuracy=study.teacher_test_accuracy,
        )

    def run(self, record: VerificationRecord) -> None:
        """Write a ``run`` object."""
        self.write("run", **run_fields(record))

    def stopping(self, running: int) -> None:
        """Write a ``stopping`` object."""
        self.write("stopping", running=running)

    def ended(
        self,
        study: StudyRecord,
        runs: Sequence[VerificationRecord],
        points: Sequence[VerifiedPoint],
    ) -> None:
        """Write the last object: ``finished``, or ``stopped`` where trainings are left."""
        self.write(
            "finished" if all(run.state.is_finished for run in runs) else "stopped",
            study=study.name,
            states={state.value: sum(r.state is state for r in runs) for state in TrialState},
            teacher_test_accuracy=study.teacher_test_accuracy,
            verified=verified_rows(points),
        )


def run_fields(record: VerificationRecord) -> dict[str, Any]:
    """Return a training's record as an object that JSON can hold."""
    fields = asdict(record) | {"state": record.state.value, "versions": dict(record.versions)}
    del fields["created_at"], fields["finished_at"]
    return fields
