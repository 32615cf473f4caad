"""Ray Tune's run of a study's trials."""

from typing import Any

from mlgsearch.study.cluster.ray_session import nodes  # isort: skip  # sets Ray's environment first
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
from mlgsearch.study.progress_view import ProgressView
from mlgsearch.study.writing.lease_keeper import LeaseKeeper


def run_trials(
    searcher: StudySearcher,
    worker: type[tune.Trainable],
    context: WorkerContext,
    slots: Capacity,
    folder: str,
) -> None:
    """Run what a searcher proposes until it has no more, or is to stop.

    Args:
        searcher: proposes trials and hears what becomes of them; its ``failure`` says what ended
            the run before its time.
        worker: trains a trial.
        context: what all workers get.
        slots: what a trial takes.
        folder: empty, for what Tune writes; nothing of it is needed later.
    """
    tuner = Tuner(
        tune.with_resources(worker, {"cpu": slots.cpu, "gpu": slots.gpu}),
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


class Room:
    """Counts the trials that may run now; reports once each time that none fits anywhere.

    For the page the lease says so, for as long as it is so.
    """

    def __init__(self, slots: Capacity, view: ProgressView, keeper: LeaseKeeper):
        self._slots = slots
        self._view = view
        self._keeper = keeper
        gpus = f" and {slots.gpu:g} GPU" if slots.gpu else ""
        self._none_fits = (
            f"no node has room for a trial, which takes {slots.cpu:g} CPU{gpus}: what is left "
            "waits until a node joins"
        )

    def __call__(self) -> int:
        """Return how many trials may run, on the nodes that are alive now."""
        alive = nodes()
        waits_for = "" if self._slots.fits_on(alive) else self._none_fits
        if waits_for and not self._keeper.waits_for:
            self._view.notice(waits_for)
        self._keeper.waits_for = waits_for
        return self._slots.count_on(alive)


class _StopWhen(DriverOnly, Stopper):
    """Stops all trials on a signal, when the lease is lost, or when the study cannot go on."""

    def __init__(self, searcher: StudySearcher):
        self._searcher = searcher

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        self._searcher.tick()
        return self._searcher.is_stopping
