"""How long work reports its progress."""

from typing import Protocol


class Progress(Protocol):
    """Called now and then with a stage's name, the units done, their total, and a short note."""

    def __call__(self, stage: str, done: int, total: int, note: str) -> None:
        """Take note of the progress; must be quick and must not raise."""


def no_progress(stage: str, done: int, total: int, note: str) -> None:
    """Take no note."""
