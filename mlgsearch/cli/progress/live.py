"""A driver's progress on a terminal, redrawn in place."""

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from mlgsearch.cli.progress.lines import describe_end
from mlgsearch.cli.progress.pace import Pace
from mlgsearch.cli.progress.stage_view import StageView
from mlgsearch.records import EpochRecord, StudyRecord, TrialRecord, TrialState
from mlgsearch.results.analysis.front import front, front_hypervolume


class LiveView(StageView):
    """Shows stages, then running trials, the front and the time left: a `ProgressView`."""

    def __init__(self, console: Console):
        super().__init__(console)
        self._study: StudyRecord | None = None
        self._records: dict[int, TrialRecord] = {}
        self._last: dict[int, EpochRecord] = {}
        self._pace = Pace(0)
        self._front = ""

    def started(self, study: StudyRecord, trials: Sequence[TrialRecord], slots: int) -> None:
        """Begin to show trials."""
        self._study = study
        self._records = {trial.number: trial for trial in trials}
        self._pace = Pace(self._finished())
        self._measure_front()

    def trial(self, record: TrialRecord, epochs: Sequence[EpochRecord]) -> None:
        """Take note of a trial's change."""
        before = self._records.get(record.number)
        self._records[record.number] = record
        if epochs:
            self._last[record.number] = epochs[-1]
        if record.state.is_finished and (before is None or not before.state.is_finished):
            self._last.pop(record.number, None)
            style = {TrialState.COMPLETE: "green", TrialState.PRUNED: "yellow"}
            if self._study is not None:
                text = Text(describe_end(record), style=style.get(record.state, "red"))
                self._console.print(text, highlight=False)
                self._measure_front()

    def _finished(self) -> int:
        return sum(record.state.is_finished for record in self._records.values())

    def _measure_front(self) -> None:
        assert self._study is not None
        records, objectives = list(self._records.values()), self._study.objectives
        size = len(front(records, objectives))
        volume = front_hypervolume(records, objectives, self._study.hypervolume_reference)
        self._front = f"front {size} students, hypervolume {volume:.4f}"

    def _draw(self) -> RenderableType:
        if self._study is None:
            return super()._draw()
        finished, total = self._finished(), self._study.n_trials
        failed = sum(r.state == TrialState.FAIL for r in self._records.values())
        stopped = sum(r.state == TrialState.PRUNED for r in self._records.values())
        head = Text.assemble(
            (self._study.name, "bold"), f"  {finished} of {total} trials", "  ", self._front
        )
        if stopped:
            head.append(f"  {stopped} stopped early", style="yellow")
        if failed:
            head.append(f"  {failed} failed", style="red")
        head.append(f"  {self._pace.left(finished, total - finished)}", style="dim")
        running = Table.grid(padding=(0, 2))
        for record in sorted(self._records.values(), key=lambda record: record.number):
            if record.state == TrialState.RUNNING:
                running.add_row(*self._row(record))
        return Group(head, running)

    def _row(self, record: TrialRecord) -> tuple[str, ...]:
        last = self._last.get(record.number)
        accuracy = f"accuracy {last.validation_accuracy:.2%}" if last else ""
        return (
            f"  trial {record.number}",
            f"epoch {record.epochs_done}/{record.epochs_wanted}",
            f"{1 / record.sizes.memory_ratio:.1f}x smaller",
            accuracy,
        )
