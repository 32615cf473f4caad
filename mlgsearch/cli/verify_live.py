"""The progress of `verify` on a terminal, redrawn in place."""

import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from mlgsearch.cli.verify_lines import describe_run, describe_start, describe_stopping
from mlgsearch.records import StudyRecord, TrialState, VerificationRecord


class VerifyLive:
    """Shows stages, then running trainings and the time left; implements ``VerifyWatch``.

    A context: what it shows stays up to date between entering and leaving.
    """

    def __init__(self, console: Console):
        self._console = console
        self._stage = Progress(
            TextColumn("{task.description:>8}"),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            TextColumn("[dim]{task.fields[note]}"),
            console=console,
        )
        self._stages: dict[str, TaskID] = {}
        self._study: StudyRecord | None = None
        self._runs: dict[tuple[int, int, int], VerificationRecord] = {}
        self._epochs_known = 0
        self._began = time.monotonic()
        self._stopping = ""
        self._live = Live(get_renderable=self._draw, console=console, refresh_per_second=4)

    def __enter__(self) -> "VerifyLive":
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def preparing(self, stage: str, done: int, total: int, note: str) -> None:
        """Move a stage's bar."""
        if stage not in self._stages:
            self._stages[stage] = self._stage.add_task(stage, total=total, note=note)
        self._stage.update(self._stages[stage], completed=done, total=total, note=note)

    def started(self, study: StudyRecord, runs: Sequence[VerificationRecord], slots: int) -> None:
        """Begin to show trainings."""
        self._study = study
        self._runs = {(run.trial, run.seed, run.epochs): run for run in runs}
        self._epochs_known = self._epochs_done()
        self._began = time.monotonic()

    def run(self, record: VerificationRecord) -> None:
        """Take note of a training's change."""
        self._runs[record.trial, record.seed, record.epochs] = record
        if record.state.is_finished:
            style = "green" if record.state is TrialState.COMPLETE else "red"
            self._console.print(Text(describe_run(record), style=style), highlight=False)

    def stopping(self, running: int) -> None:
        """Show what it waits for."""
        self._stopping = describe_stopping(running)

    def _epochs_done(self) -> int:
        return sum(run.epochs_done for run in self._runs.values())

    def _draw(self) -> RenderableType:
        if self._study is None:
            return self._stage
        runs = list(self._runs.values())
        lines: list[RenderableType] = [Text(describe_start(self._study, runs), style="bold")]
        if note := self._stopping or self._time_left(runs):
            lines.append(Text(note, style="dim"))
        running = Table.grid(padding=(0, 2))
        for run in runs:
            if run.state is TrialState.RUNNING:
                accuracy = run.validation_accuracy
                running.add_row(
                    f"  trial {run.trial}",
                    f"seed {run.seed}",
                    f"epoch {run.epochs_done}/{run.epochs}",
                    "" if accuracy is None else f"validation {accuracy:.2%}",
                )
        return Group(*lines, running)

    def _time_left(self, runs: Sequence[VerificationRecord]) -> str:
        done = self._epochs_done() - self._epochs_known
        left = sum(run.epochs - run.epochs_done for run in runs if not run.state.is_finished)
        if done < 1 or left < 1:
            return ""
        minutes, seconds = divmod(round((time.monotonic() - self._began) / done * left), 60)
        return f"about {minutes}:{seconds:02d} left"
