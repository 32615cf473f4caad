"""A driver's progress on a terminal, redrawn in place."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from mlgsearch.cli.progress.lines import describe_end
from mlgsearch.cli.progress.stage_view import Pace, StageView
from mlgsearch.records import EpochRecord, StudyRecord, TrialRecord, TrialState
from mlgsearch.results.analysis.front import front, front_hypervolume


class LiveView(StageView):
    """Shows stages, then running trials, the front and the time left: a `ProgressView`."""

    def __init__(self, console: Console):
        super().__init__(console)
        self._study: StudyRecord | None = None
        self._states: dict[int, TrialState] = {}
        self._counts: Counter[TrialState] = Counter()
        self._unfinished: dict[int, TrialRecord] = {}
        self._best: list[TrialRecord] = []  # the front
        self._last: dict[int, EpochRecord] = {}
        self._pace = Pace(0)
        self._front = ""

    def started(self, study: StudyRecord, trials: Sequence[TrialRecord], at_once: int) -> None:
        """Begin to show trials."""
        self._study = study
        for trial in trials:
            self._note(trial)
        self._pace = Pace(self._finished)
        self._measure_front(trials)

    def trial(self, record: TrialRecord, epochs: Sequence[EpochRecord]) -> None:
        """Take note of a trial's change."""
        before = self._states.get(record.number)
        self._note(record)
        if epochs:
            self._last[record.number] = epochs[-1]
        if record.state.is_finished and (before is None or not before.is_finished):
            self._last.pop(record.number, None)
            style = {TrialState.COMPLETE: "green", TrialState.PRUNED: "yellow"}
            if self._study is not None:
                text = Text(describe_end(record), style=style.get(record.state, "red"))
                self._console.print(text, highlight=False)
                self._measure_front([*self._best, record])

    def _note(self, record: TrialRecord) -> None:
        """Take note of a trial's state."""
        before = self._states.get(record.number)
        if before is not None:
            self._counts[before] -= 1
        self._counts[record.state] += 1
        self._states[record.number] = record.state
        self._unfinished.pop(record.number, None)
        if not record.state.is_finished:
            self._unfinished[record.number] = record

    @property
    def _finished(self) -> int:
        return sum(count for state, count in self._counts.items() if state.is_finished)

    def _measure_front(self, trials: Sequence[TrialRecord]) -> None:
        """Find the front among its trials so far and new ones."""
        assert self._study is not None
        objectives = self._study.objectives
        self._best = front(trials, objectives)
        volume = front_hypervolume(self._best, objectives, self._study.hypervolume_reference)
        self._front = f"front {len(self._best)} students, hypervolume {volume:.4f}"

    def _draw(self) -> RenderableType:
        if self._study is None:
            return super()._draw()
        finished, total = self._finished, self._study.n_trials
        failed, stopped = self._counts[TrialState.FAIL], self._counts[TrialState.PRUNED]
        head = Text.assemble(
            (self._study.name, "bold"), f"  {finished} of {total} trials", "  ", self._front
        )
        if stopped:
            head.append(f"  {stopped} stopped early", style="yellow")
        if failed:
            head.append(f"  {failed} failed", style="red")
        head.append(f"  {self._pace.left(finished, total - finished)}", style="dim")
        running = Table.grid(padding=(0, 2))
        for _, record in sorted(self._unfinished.items()):
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
