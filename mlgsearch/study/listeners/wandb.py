"""Weights & Biases: a group for the study, a run for each trial."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import wandb

from mlgsearch.records import EpochRecord, StudyRecord, TrialRecord, TrialState
from mlgsearch.study.listeners.values import of_epoch, of_trial, parameters, run_name


class Wandb:
    """Reports to a project; where and as whom is set as for any other program of W&B's."""

    name = "wandb"

    def __init__(self, project: str) -> None:
        self._project = project
        self._runs: dict[int, Any] = {}

    def begin(self, study: StudyRecord) -> None:
        """Remember the study: runs are opened one by one."""
        self._study = study

    def epochs(self, trial: TrialRecord, epochs: Sequence[EpochRecord]) -> None:
        """Add a point to each curve."""
        for epoch in epochs:
            self._run(trial).log(of_epoch(epoch), step=epoch.epoch)

    def end(self, trial: TrialRecord, packed: Path | None) -> None:
        """Add sizes and the packed file, and end the run."""
        run = self._run(trial)
        run.summary.update({**of_trial(trial), "state": trial.state.value})
        if packed is not None:
            artifact = wandb.Artifact(f"trial-{trial.number:06d}", type="model")
            artifact.add_file(str(packed))
            run.log_artifact(artifact)
        run.finish(exit_code=int(trial.state is TrialState.FAIL))
        del self._runs[trial.number]

    def close(self) -> None:
        """Close the runs of trials that go on in another driver."""
        for run in self._runs.values():
            run.finish()
        self._runs.clear()

    def _run(self, trial: TrialRecord) -> Any:
        if trial.number not in self._runs:
            assert self._study.created_at is not None
            begun = int(self._study.created_at.timestamp())
            self._runs[trial.number] = wandb.init(
                project=self._project,
                group=self._study.name,
                name=run_name(self._study, trial.number),
                id=f"mlgsearch-{begun}-{trial.number}",
                resume="allow",
                reinit="create_new",
                config=parameters(trial),
                settings=wandb.Settings(silent=True, console="off"),
            )
        return self._runs[trial.number]
