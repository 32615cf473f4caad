"""Ray Tune's run of a study's trials."""

from typing import Any

from mlgsearch.study.cluster.ray_session import local_ray  # noqa: F401  # isort: skip  # sets Ray's environment first
from ray import tune
from ray.tune import RunConfig, Stopper, TuneConfig, Tuner

from mlgsearch.study.cluster.capacity import Capacity
from mlgsearch.study.cluster.tune_adapter import (
    DriverOnly,
    Informer,
    NoReporter,
    StudyScheduler,
    StudySearcher,
)
from mlgsearch.study.cluster.worker import WorkerContext


def run_trials(
    searcher: StudySearcher,
    worker: type[tune.Trainable],
    context: WorkerContext,
    capacity: Capacity,
    folder: str,
) -> None:
    """Run what a searcher proposes until it has no more, or is to stop.

    Args:
        searcher: proposes trials and hears what becomes of them; its ``failure`` says what ended
            the run before its time.
        worker: trains a trial.
        context: what all workers get.
        capacity: what a trial takes.
        folder: empty, for what Tune writes; nothing of it is needed later.
    """
    tuner = Tuner(
        tune.with_resources(worker, {"cpu": capacity.cpu, "gpu": capacity.gpu}),
        param_space={"context": context.to_text()},
        tune_config=TuneConfig(
            search_alg=searcher,
            scheduler=StudyScheduler(searcher),
            num_samples=-1,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: str(trial.trial_id),
            trial_name_creator=lambda trial: str(trial.trial_id),
        ),
        run_config=RunConfig(
            name="tune",
            storage_path=folder,
            verbose=0,
            stop=_StopWhen(searcher),
            callbacks=[Informer(searcher), NoReporter()],
        ),
    )
    tuner.fit()


class _StopWhen(DriverOnly, Stopper):
    """Stops all trials on a signal, when the lease is lost, or when the study cannot go on."""

    def __init__(self, searcher: StudySearcher):
        self._searcher = searcher

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        self._searcher.tick()
        return self._searcher.is_stopping
