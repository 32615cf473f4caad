"""TensorBoard: a folder for the study, in it one for each trial."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from mlgsearch.records import EpochRecord, StudyRecord, TrialRecord
from mlgsearch.study.listeners.values import of_epoch, of_trial, parameters


class TensorBoard:
    """Writes event files under ``folder/STUDY/000012``, and the packed file beside them."""

    name = "tensorboard"

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._writers: dict[int, SummaryWriter] = {}

    def begin(self, study: StudyRecord) -> None:
        """Make the study's folder."""
        self._folder = self._folder / study.name
        self._folder.mkdir(parents=True, exist_ok=True)

    def epochs(self, trial: TrialRecord, epochs: Sequence[EpochRecord]) -> None:
        """Add a point to each curve."""
        writer = self._writer(trial)
        for epoch in epochs:
            for name, value in of_epoch(epoch).items():
                writer.add_scalar(name, value, epoch.epoch)
        writer.flush()

    def end(self, trial: TrialRecord, packed: Path | None) -> None:
        """Add sizes as scalars, settings as text, and copy the packed file."""
        writer = self._writer(trial)
        for name, value in of_trial(trial).items():
            writer.add_scalar(name, value, trial.epochs_done)
        rows = [f"| {name} | {value} |" for name, value in parameters(trial).items()]
        writer.add_text("settings", "\n".join(["| name | value |", "|---|---|", *rows]))
        writer.add_text("state", trial.state.value + (f": {trial.error}" if trial.error else ""))
        if packed is not None:
            shutil.copy(packed, self._place(trial) / packed.name)
        writer.close()
        del self._writers[trial.number]

    def close(self) -> None:
        """Close the files of trials that are still running."""
        for writer in self._writers.values():
            writer.close()

    def _writer(self, trial: TrialRecord) -> SummaryWriter:
        if trial.number not in self._writers:
            self._writers[trial.number] = SummaryWriter(str(self._place(trial)))
        return self._writers[trial.number]

    def _place(self, trial: TrialRecord) -> Path:
        return self._folder / f"{trial.number:06d}"
