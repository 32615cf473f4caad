"""The progress of `verify` as one JSON object per line; docs/json.md lists the fields."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, TextIO

from mlgsearch.cli.progress.events import JsonEvents
from mlgsearch.records import StudyRecord, TrialState, VerificationRecord
from mlgsearch.results.analysis.uncertainty.verification import VerifiedPoint
from mlgsearch.results.formats import verified_rows


class VerifyEvents:
    """Writes the progress of `verify`; implements ``mlgsearch.study.verify.verify.VerifyView``."""

    def __init__(self, out: TextIO):
        self._events = JsonEvents(out)

    def preparing(self, stage: str, done: int, total: int, note: str) -> None:
        """Write a ``preparing`` object."""
        self._events.preparing(stage, done, total, note)

    def started(self, study: StudyRecord, runs: Sequence[VerificationRecord], slots: int) -> None:
        """Write a ``started`` object."""
        self._events.write(
            "started",
            study=study.name,
            trials=sorted({run.trial for run in runs}),
            seeds=sorted({run.seed for run in runs}),
            runs=len(runs),
            finished=sum(run.state.is_finished for run in runs),
            slots=slots,
            teacher_test_accuracy=study.teacher_test_accuracy,
        )

    def run(self, record: VerificationRecord) -> None:
        """Write a ``run`` object."""
        self._events.write("run", **run_fields(record))

    def stopping(self, running: int) -> None:
        """Write a ``stopping`` object."""
        self._events.write("stopping", running=running)

    def ended(
        self,
        study: StudyRecord,
        runs: Sequence[VerificationRecord],
        points: Sequence[VerifiedPoint],
    ) -> None:
        """Write the last object: ``finished``, or ``stopped`` where trainings are left."""
        self._events.write(
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
