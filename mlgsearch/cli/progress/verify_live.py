"""The progress of `verify` on a terminal, redrawn in place."""

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from mlgsearch.cli.progress.stage_view import Pace, StageView
from mlgsearch.cli.progress.verify_lines import describe_run, describe_start, describe_stopping
from mlgsearch.records import StudyRecord, TrialState, VerificationRecord


class VerifyLive(StageView):
    """Shows stages, then running trainings and the time left; implements ``VerifyView``."""

    def __init__(self, console: Console):
        super().__init__(console)
        self._study: StudyRecord | None = None
        self._runs: dict[tuple[int, int, int], VerificationRecord] = {}
        self._pace = Pace(0)
        self._stopping = ""

    def started(self, study: StudyRecord, runs: Sequence[VerificationRecord], at_once: int) -> None:
        """Begin to show trainings."""
        self._study = study
        self._runs = {(run.trial, run.seed, run.epochs): run for run in runs}
        self._pace = Pace(self._epochs_done())

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
            return super()._draw()
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
        left = sum(run.epochs - run.epochs_done for run in runs if not run.state.is_finished)
        return self._pace.left(self._epochs_done(), left)
