"""Who is notified of a driver's progress."""

from collections.abc import Sequence
from typing import Protocol

from mlgsearch.records import EpochRecord, StudyRecord, TrialRecord


class ProgressView(Protocol):
    """Is notified of a driver's progress, from the driver's thread; must be quick."""

    def preparing(self, stage: str, done: int, total: int, note: str) -> None:
        """Data are loaded, the teacher trained, its logits computed."""

    def notice(self, text: str) -> None:
        """Something in the study file is likely not what its user wants; one sentence."""

    def started(self, study: StudyRecord, trials: Sequence[TrialRecord], at_once: int) -> None:
        """Trials begin; those known from before are listed."""

    def trial(self, record: TrialRecord, epochs: Sequence[EpochRecord]) -> None:
        """A trial changed: it is new, finished epochs, or ended."""
