"""The progress of `verify` as plain lines, where there is no terminal."""

from collections.abc import Sequence
from typing import TextIO

from mlgsearch.cli.progress.lines import PlainLines
from mlgsearch.records import StudyRecord, TrialState, VerificationRecord


class VerifyLines:
    """Writes a line for each stage and for each training that ends; implements ``VerifyView``."""

    def __init__(self, out: TextIO):
        self._out = out
        self._stages = PlainLines(out)
        self._finished = 0
        self._wanted = 0

    def preparing(self, stage: str, done: int, total: int, note: str) -> None:
        """Write when a stage begins and when it ends."""
        self._stages.preparing(stage, done, total, note)

    def started(self, study: StudyRecord, runs: Sequence[VerificationRecord], slots: int) -> None:
        """Write what is to be done."""
        self._finished = sum(run.state is TrialState.COMPLETE for run in runs)
        self._wanted = len(runs)
        self._write(f"{describe_start(study, runs)}, {slots} at once")

    def run(self, record: VerificationRecord) -> None:
        """Write a training that ended, or goes on."""
        if record.state.is_finished:
            self._finished += 1
            self._write(f"[{self._finished}/{self._wanted}] {describe_run(record)}")

    def stopping(self, running: int) -> None:
        """Write what it waits for."""
        self._write(describe_stopping(running))

    def _write(self, line: str) -> None:
        self._out.write(line + "\n")
        self._out.flush()


def describe_start(study: StudyRecord, runs: Sequence[VerificationRecord]) -> str:
    """Say in a line what is verified."""
    trials, seeds = {run.trial for run in runs}, {run.seed for run in runs}
    done = sum(run.state is TrialState.COMPLETE for run in runs)
    return (
        f"verify {study.name}: {_count(len(trials), 'trial')} under {_count(len(seeds), 'seed')}, "
        f"{done} of {len(runs)} trainings finished"
    )


def describe_run(run: VerificationRecord) -> str:
    """Say in a line how a training ended."""
    text = f"trial {run.trial}, seed {run.seed}"
    if run.state is not TrialState.COMPLETE:
        return f"{text} {run.state.value}: {run.error}"
    assert run.test_accuracy is not None
    assert run.packed_accuracy is not None
    return f"{text}: test {run.test_accuracy:.2%}, packed {run.packed_accuracy:.2%}"


def describe_stopping(running: int) -> str:
    """Say in a line what is waited for after Ctrl-C."""
    if not running:
        return "stopping"
    verb = "finishes its" if running == 1 else "finish their"
    return f"stopping: {_count(running, 'training')} {verb} epoch; Ctrl-C again stops at once"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
