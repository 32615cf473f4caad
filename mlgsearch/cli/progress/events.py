"""A driver's progress as one JSON object per line, for scripts.

Each object has ``event``; docs/json.md lists the other fields.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, TextIO

from mlgsearch.records import EpochRecord, StudyRecord, TrialRecord
from mlgsearch.results.trial_fields import to_json, trial_fields


class StageEvents:
    """Writes the stages of a preparation, and whatever else is written as an event."""

    def __init__(self, out: TextIO):
        self._out = out

    def preparing(self, stage: str, done: int, total: int, note: str) -> None:
        """Write a ``preparing`` object."""
        self.write("preparing", stage=stage, done=done, total=total, note=note)

    def notice(self, text: str) -> None:
        """Write a ``notice`` object."""
        self.write("notice", text=text)

    def write(self, event: str, **fields: Any) -> None:
        """Write one object."""
        self._out.write(to_json({"event": event, **fields}) + "\n")
        self._out.flush()


class JsonEvents(StageEvents):
    """Writes a driver's progress; implements ``mlgsearch.study.progress_view.ProgressView``."""

    def started(self, study: StudyRecord, trials: Sequence[TrialRecord], at_once: int) -> None:
        """Write a ``started`` object."""
        self.write(
            "started",
            study=study.name,
            n_trials=study.n_trials,
            known=len(trials),
            slots=at_once,
            teacher_hash=study.teacher_hash,
            teacher_accuracy=study.teacher_accuracy,
        )

    def trial(self, record: TrialRecord, epochs: Sequence[EpochRecord]) -> None:
        """Write an ``epoch`` object for each new epoch, or a ``trial`` object."""
        for epoch in epochs:
            self.write("epoch", trial=record.number, **asdict(epoch))
        if not epochs or record.state.is_finished:
            self.write("trial", **trial_fields(record))
