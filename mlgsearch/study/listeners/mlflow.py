"""MLflow: an experiment for the study, a run for each trial."""

import time
from collections.abc import Sequence
from pathlib import Path

from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient

from mlgsearch.records import EpochRecord, StudyRecord, TrialRecord, TrialState
from mlgsearch.study.listeners.values import of_epoch, of_trial, parameters, run_name

_NUMBER = "mlgsearch.trial"
_STATUS = {TrialState.COMPLETE: "FINISHED", TrialState.PRUNED: "KILLED", TrialState.FAIL: "FAILED"}
#: The longest value that every MLflow server takes, and the most parameters in a request.
_LONGEST = 500
_BATCH = 100


class Mlflow:
    """Reports to a tracking server, or to a store that its URI names."""

    name = "mlflow"

    def __init__(self, uri: str) -> None:
        self._client = MlflowClient(tracking_uri=uri)
        self._runs: dict[int, str] = {}

    def begin(self, study: StudyRecord) -> None:
        """Find the experiment of the study's name, or create it."""
        self._study = study
        found = self._client.get_experiment_by_name(study.name)
        self._experiment = (
            found.experiment_id if found is not None else self._client.create_experiment(study.name)
        )

    def epochs(self, trial: TrialRecord, epochs: Sequence[EpochRecord]) -> None:
        """Add a point to each curve."""
        self._log(self._run(trial), [(epoch.epoch, of_epoch(epoch)) for epoch in epochs])

    def end(self, trial: TrialRecord, packed: Path | None) -> None:
        """Add sizes and the packed file, and end the run."""
        run = self._run(trial)
        self._log(run, [(trial.epochs_done, of_trial(trial))])
        if packed is not None:
            self._client.log_artifact(run, str(packed))
        if trial.error:
            self._client.set_tag(run, "mlgsearch.error", trial.error[:_LONGEST])
        self._client.set_terminated(run, _STATUS[trial.state])

    def close(self) -> None:
        """No-op: every call is sent at once."""

    def _run(self, trial: TrialRecord) -> str:
        """Return the trial's run: that of an earlier driver where there is one."""
        if trial.number not in self._runs:
            found = self._client.search_runs(
                [self._experiment], f"tags.`{_NUMBER}` = '{trial.number}'", max_results=1
            )
            if found:
                self._client.update_run(found[0].info.run_id, status="RUNNING")
                self._runs[trial.number] = found[0].info.run_id
            else:
                self._runs[trial.number] = self._new(trial)
        return self._runs[trial.number]

    def _new(self, trial: TrialRecord) -> str:
        created = self._client.create_run(
            self._experiment,
            tags={_NUMBER: str(trial.number)},
            run_name=run_name(self._study, trial.number),
        )
        run: str = created.info.run_id
        params = [Param(name, value[:_LONGEST]) for name, value in parameters(trial).items()]
        for start in range(0, len(params), _BATCH):
            self._client.log_batch(run, params=params[start : start + _BATCH])
        tags = [RunTag("mlgsearch.study", self._study.name)]
        self._client.log_batch(run, tags=tags)
        return run

    def _log(self, run: str, figures: Sequence[tuple[int, dict[str, float]]]) -> None:
        now_ms = int(time.time() * 1000)
        metrics = [
            Metric(name, value, now_ms, step)
            for step, values in figures
            for name, value in values.items()
        ]
        if metrics:
            self._client.log_batch(run, metrics=metrics)
