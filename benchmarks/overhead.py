"""What a trial costs outside its training: mlgsearch beside Ray Tune's own OptunaSearch.

    python benchmarks/overhead.py [--trials 200] [--reference-trials 20]
    python benchmarks/overhead.py --trials 2000 --reference-trials 0      # does anything grow?

Both search the same space (ResNet-18's layerwise settings, 100 numbers) with TPE, on a fresh SQLite
file, two workers, and a trainable that returns at once. Start-up of Ray is not counted: a run's
time is from its first trial's beginning to its last one's end. The last line is JSON, in seconds
per trial: `ours_s`, `ours_first50_s`, `ours_last50_s`, `ray_optuna_s`. From 400 trials on there is
also how the driver's process fared over the first 200 of them and the last 200: `_s` per trial,
`_cpu_s` its own processor time per trial (which other work on the machine does not change), `_mib`
the median of its resident memory. Those of the last 200 are printed at each thousand, for a long
run that is cut off.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from mlgsearch.study.drive import Options  # isort: skip  # sets Ray's environment
import optuna
import psutil
import ray
from ray import tune
from ray.tune import RunConfig, TuneConfig, Tuner
from ray.tune.search.optuna import OptunaSearch
from ray.tune.utils import flatten_dict

from mlgsearch.mlg.network import NetworkShape, network_shape
from mlgsearch.records import EpochRecord, StudyRecord, TrialRecord
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.study.cluster.messages import Report
from mlgsearch.study.file.spec import StudySpec
from mlgsearch.study.file.study_file import load_study_file, parse_study
from mlgsearch.study.launch import launch
from mlgsearch.study.preparation import Preparation
from mlgsearch.study.progress_view import ProgressView
from mlgsearch.study.space.space import Space
from mlgsearch.train.networks.models import build_model
from mlgsearch.train.spec import ModelSpec
from mlgsearch.train.student.trial import TrialSummary

WORKERS = 2
#: Trials at both ends of a long run that are compared.
SPAN = 200
STUDY = """
name: overhead
model: {name: resnet18}
space: {kind: layerwise, B_out: [1, 512]}
training: {epochs: 1}
search: {sampler: tpe, n_trials: 200, seed: 0}
"""


def instant_report(settings: Mapping[str, Sequence[int]], attempt: int) -> Report:
    """Return what a worker reports of a trial that is trained in no time."""
    numbers = [sum(five) for five in settings.values()]
    accuracy = 1 - 1 / (1 + sum(numbers) / len(numbers))
    summary = TrialSummary(
        epochs_done=1,
        accuracy=accuracy,
        loss=1.0,
        packed_bytes=1_000,
        stage_seconds={"train": 0.0},
        projection_error={name: 1 / (1 + sum(five)) for name, five in settings.items()},
        versions={},
        teacher_hash="none",
    )
    epoch = EpochRecord(1, 1.0, accuracy, 1.0, accuracy, 0.1, 0.0)
    return Report(attempt, (epoch,), summary)


class InstantWorker(tune.Trainable):
    """Answers at once with numbers that are a function of the settings."""

    def setup(self, config: dict[str, Any]) -> None:
        """Take the first trial."""
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next one."""
        self._settings, self._attempt = new_config["settings"], new_config["attempt"]
        return True

    def step(self) -> dict[str, Any]:
        """Return one epoch and the summary."""
        return instant_report(json.loads(self._settings), self._attempt).to_result()

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Keep nothing."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Load nothing."""


class Clock:
    """Notes when trials end, and what the driver has used by then."""

    def __init__(self) -> None:
        self.began = 0.0
        self.ended: list[float] = []  # seconds
        self.cpu: list[float] = []  # seconds of this process
        self.memory: list[float] = []  # resident MiB of this process
        self._process = psutil.Process()

    def preparing(self, stage: str, done: int, total: int, note: str) -> None:
        """Nothing is prepared."""

    def notice(self, text: str) -> None:
        """Say nothing."""

    def started(self, study: StudyRecord, trials: Sequence[TrialRecord], at_once: int) -> None:
        """Start counting."""
        self.began = time.perf_counter()

    def trial(self, record: TrialRecord, epochs: Sequence[EpochRecord]) -> None:
        """Count a finished trial."""
        if record.state.is_finished:
            self.ended.append(time.perf_counter())
            self.cpu.append(time.process_time())
            self.memory.append(self._process.memory_info().rss / 2**20)
            if len(self.ended) % (5 * SPAN) == 1 and len(self.ended) > SPAN:
                last = " ".join(f"{name} {value:.3f}" for name, value in self._use("last").items())
                print(f"{len(self.ended)} trials, {last}", flush=True)

    def growth(self) -> dict[str, float]:
        """Compare the first 200 trials with the last 200; the very first begins no interval."""
        return self._use("first") | self._use("last")

    def _use(self, end: Literal["first", "last"]) -> dict[str, float]:
        part = slice(None, SPAN + 1) if end == "first" else slice(-SPAN - 1, None)
        figures = {}
        for what, moments in (("s", self.ended), ("cpu_s", self.cpu)):
            figures[f"{end}{SPAN}_{what}"] = (moments[part][-1] - moments[part][0]) / SPAN
        return figures | {f"{end}{SPAN}_mib": statistics.median(self.memory[part])}


def resnet18_shape() -> NetworkShape:
    """Return the shape of ResNet-18 with a CIFAR stem and ten classes."""
    model = build_model(ModelSpec(name="resnet18"), classes=10, channels=3, image_size=(32, 32))
    return network_shape(model, (3, 32, 32))


def run_ours(folder: Path, shape: NetworkShape, trials: int) -> Clock:
    """Run the real service; gives what was noted at each trial's end."""
    path = folder / "overhead.yaml"
    path.write_text(STUDY)

    def groundwork(spec: StudySpec, cache: Path, view: ProgressView) -> Preparation:
        return Preparation(shape, "none", 1.0)

    clock = Clock()
    options = Options(max_parallel=WORKERS, worker=InstantWorker, prepare_study=groundwork)
    engine = open_engine(f"sqlite:///{folder / 'ours.db'}")
    launch(*load_study_file(path), engine, clock, n_trials=trials, options=options)
    return clock


class _TrialEnds(tune.Callback):
    def __init__(self) -> None:
        self.began = 0.0
        self.ended: list[float] = []

    def setup(self, *args: Any, **options: Any) -> None:
        self.began = time.perf_counter()

    def on_trial_complete(self, *args: Any, **info: Any) -> None:
        self.ended.append(time.perf_counter())


class PlainWorker(InstantWorker):
    """The same for Ray's own searcher, which gives the numbers themselves."""

    def setup(self, config: dict[str, Any]) -> None:
        """Take the first trial."""
        self._numbers = list(flatten_dict(config).values())

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next one."""
        self._numbers = list(flatten_dict(new_config).values())
        return True

    def step(self) -> dict[str, Any]:
        """Return both objectives."""
        mean = sum(self._numbers) / len(self._numbers)
        return {"accuracy": 1 - 1 / (1 + mean), "memory": mean, "done": True}


def run_ray_optuna(folder: Path, shape: NetworkShape, trials: int) -> list[float]:
    """Run plain Ray Tune with its OptunaSearch on the same space and kind of database."""
    spec = parse_study(
        {"name": "overhead", "space": {"kind": "layerwise", "B_out": [1, 512]}}, "overhead"
    )
    distributions = Space(spec, shape).distributions

    search = OptunaSearch(
        space=distributions,
        metric=["accuracy", "memory"],
        mode=["max", "min"],
        sampler=optuna.samplers.TPESampler(seed=0),
        storage=optuna.storages.RDBStorage(f"sqlite:///{folder / 'ray.db'}"),
    )
    ends = _TrialEnds()
    ray.init(
        num_cpus=WORKERS, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1"
    )
    Tuner(
        tune.with_resources(PlainWorker, {"cpu": 1}),
        tune_config=TuneConfig(
            search_alg=search,
            num_samples=trials,
            max_concurrent_trials=WORKERS,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: str(trial.trial_id),
        ),
        run_config=RunConfig(name="ray", storage_path=str(folder), verbose=0, callbacks=[ends]),
    ).fit()
    ray.shutdown()
    return [moment - ends.began for moment in ends.ended]


def main() -> None:
    """Run both and print what a trial cost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--reference-trials", type=int, default=20)
    arguments = parser.parse_args()
    shape = resnet18_shape()
    with tempfile.TemporaryDirectory() as folder:
        clock = run_ours(Path(folder), shape, arguments.trials)
        ours = [moment - clock.began for moment in clock.ended]
        print(f"mlgsearch: {len(ours)} trials in {ours[-1]:.1f} s")
        reference: list[float] = []
        if arguments.reference_trials:
            reference = run_ray_optuna(Path(folder), shape, arguments.reference_trials)
            print(f"Ray Tune with OptunaSearch: {len(reference)} trials in {reference[-1]:.1f} s")
    quarter = min(50, len(ours) // 2)
    figures = {
        "ours_s": ours[-1] / len(ours),
        "ours_first50_s": ours[quarter - 1] / quarter,
        "ours_last50_s": (ours[-1] - ours[-quarter - 1]) / quarter,
    }
    if reference:
        figures["ray_optuna_s"] = reference[-1] / len(reference)
    if len(ours) >= 2 * SPAN:
        figures |= clock.growth()
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
