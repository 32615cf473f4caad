"""The progress of `verify` as plain lines, where there is no terminal."""

from collections.abc import Sequence
from typing import TextIO

from mlgsearch.cli.progress.lines import StageLines
from mlgsearch.records import StudyRecord, TrialState, VerificationRecord
from mlgsearch.words import counted


class VerifyLines(StageLines):
    """Writes a line for each stage and for each training that ends; implements ``VerifyView``."""

    def __init__(self, out: TextIO):
        super().__init__(out)
        self._finished = 0
        self._wanted = 0

    def started(self, study: StudyRecord, runs: Sequence[VerificationRecord], at_once: int) -> None:
        """Write what is to be done."""
        self._finished = sum(run.state is TrialState.COMPLETE for run in runs)
        self._wanted = len(runs)
        self._write(f"{describe_start(study, runs)}, {at_once} at once")

    def run(self, record: VerificationRecord) -> None:
        """Write a training that ended, or goes on."""
        if record.state.is_finished:
            self._finished += 1
            self._write(f"[{self._finished}/{self._wanted}] {describe_run(record)}")

    def stopping(self, running: int) -> None:
        """Write what it waits for."""
        self._write(describe_stopping(running))


def describe_start(study: StudyRecord, runs: Sequence[VerificationRecord]) -> str:
    """Return a line that says what is verified."""
    trials, seeds = {run.trial for run in runs}, {run.seed for run in runs}
    done = sum(run.state is TrialState.COMPLETE for run in runs)
    asked = f"{counted(len(trials), 'trial')} under {counted(len(seeds), 'seed')}"
    return f"verify {study.name}: {asked}, {done} of {len(runs)} trainings finished"


def describe_run(run: VerificationRecord) -> str:
    """Return a line that says how a training ended."""
    text = f"trial {run.trial}, seed {run.seed}"
    if run.state is not TrialState.COMPLETE:
        return f"{text} {run.state.value}: {run.error}"
    assert run.test_accuracy is not None
    assert run.packed_accuracy is not None
    return f"{text}: test {run.test_accuracy:.2%}, packed {run.packed_accuracy:.2%}"


def describe_stopping(running: int) -> str:
    """Return a line that says what is waited for after Ctrl-C."""
    if not running:
        return "stopping"
    verb = "finishes its" if running == 1 else "finish their"
    return f"stopping: {counted(running, 'training')} {verb} epoch; Ctrl-C again stops at once"
