"""What comes before the trainings, as bars on a terminal, redrawn in place."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.text import Text

from mlgsearch.results.read.driving import time_left_s
from mlgsearch.words import duration


class StageView:
    """Shows a bar for each stage; those that show more inherit it and draw that instead.

    A context: what it shows stays up to date between entering and leaving.
    """

    def __init__(self, console: Console):
        self._console = console
        self._bars = Progress(
            TextColumn("{task.description:>8}"),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", style="dim", markup=False),
            console=console,
        )
        self._stages: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        # It draws at its making, so not before a child is whole.
        self._live = Live(get_renderable=self._draw, console=self._console, refresh_per_second=4)
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
            self._stages[stage] = self._bars.add_task(stage, total=total, note=note)
        self._bars.update(self._stages[stage], completed=done, total=total, note=note)

    def notice(self, text: str) -> None:
        """Print a warning above what is redrawn."""
        self._console.print(Text(f"warning: {text}", style="yellow"), highlight=False)

    def _draw(self) -> RenderableType:
        return self._bars


class Pace:
    """Takes the time from now on; what was ``done`` before is not this driver's work."""

    def __init__(self, done: int):
        self._known = done
        self._began = time.monotonic()

    def left(self, done: int, left: int) -> str:
        """Return how long ``left`` will take, in the unit of ``done``; empty while not known."""
        seconds = time_left_s((done - self._known, time.monotonic() - self._began), left)
        return f"about {duration(seconds)} left" if seconds else ""
