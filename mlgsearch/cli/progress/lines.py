"""A driver's progress as plain lines, where there is no terminal."""

import time
from collections.abc import Callable, Sequence
from typing import TextIO

from mlgsearch.records import EpochRecord, StudyRecord, TrialRecord, TrialState

#: A stage that takes long is reported at least so often.
_EVERY_S = 60.0


class StageLines:
    """Writes a line for each stage, as it begins, once a minute, and as it ends."""

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.monotonic):
        self._out = out
        self._clock = clock
        self._stage = ""
        self._reported = 0.0

    def preparing(self, stage: str, done: int, total: int, note: str) -> None:
        """Write when a stage begins, when it ends, and how far it is once a minute."""
        is_due = self._clock() >= self._reported + _EVERY_S
        if stage != self._stage or done == total or is_due:
            self._stage, self._reported = stage, self._clock()
            self._write(f"{stage}: {done}/{total} {note}".rstrip())

    def notice(self, text: str) -> None:
        """Write a warning."""
        self._write(f"warning: {text}")

    def _write(self, line: str) -> None:
        self._out.write(line + "\n")
        self._out.flush()


class PlainLines(StageLines):
    """Writes a line for each stage and for each trial that ends or is taken up again.

    Implements ``mlgsearch.study.progress_view.ProgressView``.
    """

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.monotonic):
        super().__init__(out, clock)
        self._n_trials = 0
        self._finished: set[int] = set()

    def started(self, study: StudyRecord, trials: Sequence[TrialRecord], at_once: int) -> None:
        """Write the study's progress."""
        self._n_trials = study.n_trials
        self._finished = {t.number for t in trials if t.state.is_finished}
        teacher = ""
        if study.teacher_accuracy is not None:
            teacher = f", teacher {study.teacher_accuracy:.2%}"
        self._write(
            f"study {study.name}: {len(self._finished)} of {study.n_trials} trials finished, "
            f"{at_once} at once{teacher}"
        )

    def trial(self, record: TrialRecord, epochs: Sequence[EpochRecord]) -> None:
        """Write a trial that ended, or goes on."""
        if not record.state.is_finished:
            self._finished.discard(record.number)  # one that was stopped early is taken up again
        if record.state.is_finished and record.number not in self._finished:
            self._finished.add(record.number)
            self._write(f"[{len(self._finished)}/{self._n_trials}] {describe_end(record)}")
        elif record.attempts > 1 and not epochs:
            self._write(
                f"trial {record.number} goes on from epoch {record.epochs_done + 1} "
                f"(attempt {record.attempts})"
            )


def describe_end(record: TrialRecord) -> str:
    """Return a line that says how a trial ended."""
    ratio = record.sizes.memory_ratio
    text = f"trial {record.number} {record.state.value}"
    if record.state == TrialState.COMPLETE and record.accuracy is not None:
        text += f" accuracy {record.accuracy:.2%}"
    if record.state == TrialState.PRUNED:
        text += f" after {record.epochs_done} of {record.epochs_wanted} epochs"
    text += f" memory {ratio:.4f} ({1 / ratio:.1f}x smaller)"
    if record.reused_from is not None:
        text += f", the same student as trial {record.reused_from}"
    if record.error:
        text += f": {record.error}"
    return text
