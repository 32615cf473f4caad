"""What a search reports while it runs."""

from collections.abc import Mapping
from typing import Any


class Callback:
    """Override what is of interest; every method does nothing by itself.

    Methods are called from the thread that called `search` or `Study.launch`, and must be quick.
    What one raises ends the search.
    """

    def on_epoch(self, trial: int, epoch: Mapping[str, Any]) -> None:
        """Handle a finished epoch.

        Args:
            trial: its number.
            epoch: a row of ``epochs()``.
        """

    def on_trial(self, trial: Mapping[str, Any]) -> None:
        """Handle a trial that began or ended; ``state`` says which.

        Args:
            trial: a row of ``trials()``.
        """

    def on_progress(self, stage: str, done: int, total: int, note: str) -> None:
        """Handle the work before the first trial: data, teacher, plan.

        Args:
            stage: what is being done.
            done: how much of it.
            total: how much there is.
            note: a few words.
        """

    def on_notice(self, text: str) -> None:
        """Handle a sentence about something that is likely not what was wanted."""
