"""What a driver costs that goes on with a study of many finished trials.

    python benchmarks/growth.py [--begun 200 10000] [--trials 200]

The study is that of overhead.py: ResNet-18's layerwise settings (100 numbers), TPE, a fresh SQLite
file, two workers, a trainable that returns at once. Its finished trials are written to the
database first, by other processes, with settings at random; then drivers take the studies up and
run so many trials more, all at the same time, so that other work on the machine slows them alike. A
line of JSON for each: `cpu_s`, the driver's processor time per trial; `mib`, the median of its
resident memory; `start_s`, its processor time until the first trial ended. `overhead.py --trials
10000` measures the same in one driver from the first trial to the last, and takes hours where this
takes minutes.
"""

import argparse
import json
import multiprocessing
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from overhead import (
    STUDY,
    WORKERS,
    Clock,
    InstantWorker,
    instant_report,
    resnet18_shape,
)

from mlgsearch.study.drive import Options  # isort: skip
from optuna.distributions import BaseDistribution, IntDistribution, distribution_to_json
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Engine, insert

from mlgsearch.records import OBJECTIVES, StudyRecord, TrialRecord
from mlgsearch.records import TrialState as OurState
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.migrate import upgrade
from mlgsearch.results.database.store import ResultStore
from mlgsearch.study.file.study_file import load_study_file
from mlgsearch.study.launch import launch, register
from mlgsearch.study.preparation import Preparation
from mlgsearch.study.search.new_trial import NewTrials
from mlgsearch.study.search.optuna_storage import directions, metric_names, open_optuna_storage
from mlgsearch.study.search.optuna_trials import OptunaTrials
from mlgsearch.study.space.space import Space
from mlgsearch.train.versions import library_versions

_FRESH = multiprocessing.get_context("spawn")
#: A driver that fails before its first trial ends the wait of the others.
_LONGEST_WAIT_S = 1800


def fill(folder: Path, count: int) -> None:
    """Write a study with so many COMPLETE trials."""
    path = folder / "overhead.yaml"
    path.write_text(STUDY)
    spec, source = load_study_file(path)
    engine = _engine(folder)
    upgrade(engine)
    store = ResultStore(engine)
    study = register(spec, source, store)
    storage = open_optuna_storage(engine)
    OptunaTrials(storage, spec.name, directions(study.objectives), metric_names(study.objectives))
    shape = resnet18_shape()
    space = Space(spec, shape)
    new_trials = NewTrials(spec, space, shape, "none", library_versions())
    rng = random.Random(0)
    for start in range(0, count, 500):
        part = [
            _finished(number, space.distributions, new_trials, rng)
            for number in range(start, min(start + 500, count))
        ]
        _write_optunas(storage.engine, part)
        for _, record in part:
            report = instant_report(record.settings, 1)
            store.put_trial(spec.name, record, report.epochs)


class ClockOfSeveral(Clock):
    """One whose first trial waits until those of the other drivers can begin too."""

    def __init__(self, ready: Barrier) -> None:
        super().__init__()
        self._ready = ready

    def started(self, study: StudyRecord, trials: Sequence[TrialRecord], at_once: int) -> None:
        """Start counting."""
        self._ready.wait()
        super().started(study, trials, at_once)


def go_on(folder: Path, trials: int, ready: Barrier) -> None:
    """Take the study up, and print what a trial cost."""
    clock = ClockOfSeveral(ready)
    begun = _count(folder)
    shape = resnet18_shape()
    began = time.process_time()
    options = Options(
        max_parallel=WORKERS,
        worker=InstantWorker,
        prepare_study=lambda spec, cache, watch: Preparation(shape, "none", 1.0),
    )
    launch(
        *load_study_file(folder / "overhead.yaml"),
        _engine(folder),
        clock,
        n_trials=begun + trials,
        options=options,
    )
    ended = clock.cpu[1:]  # the very first begins no interval
    figures = {
        "cpu_s": (ended[-1] - clock.cpu[0]) / len(ended),
        "mib": statistics.median(clock.memory),
        "start_s": clock.cpu[0] - began,
    }
    rounded = {name: round(value, 4) for name, value in figures.items()}
    print(json.dumps({"begun": begun} | rounded), flush=True)


def _engine(folder: Path) -> Engine:
    return open_engine(f"sqlite:///{folder / 'growth.db'}")


def _count(folder: Path) -> int:
    return sum(ResultStore(_engine(folder)).state_counts("overhead").values())


def _finished(
    number: int,
    distributions: Mapping[str, BaseDistribution],
    new_trials: NewTrials,
    rng: random.Random,
) -> tuple[FrozenTrial, TrialRecord]:
    """Return a trial with settings at random, as Optuna's row and as ours."""
    params: dict[str, Any] = {}
    for name, known in distributions.items():
        assert isinstance(known, IntDistribution), known
        params[name] = rng.randint(known.low, known.high)
    now = datetime.now(UTC)
    trial = FrozenTrial(
        number=number,
        trial_id=number + 1,
        state=TrialState.COMPLETE,
        value=None,
        datetime_start=now,
        datetime_complete=now,
        params=params,
        distributions=dict(distributions),
        user_attrs={},
        system_attrs={},
        intermediate_values={},
    )
    record = new_trials.record(trial)
    summary = instant_report(record.settings, 1).summary
    assert summary is not None
    record = replace(
        record,
        state=OurState.COMPLETE,
        attempts=1,
        epochs_done=1,
        accuracy=summary.accuracy,
        loss=summary.loss,
        packed_bytes=summary.packed_bytes,
        stage_seconds=summary.stage_seconds,
        projection_error=summary.projection_error,
    )
    return trial, record


def _write_optunas(engine: Engine, part: list[tuple[FrozenTrial, TrialRecord]]) -> None:
    """Write Optuna's rows at once, which its own storage writes parameter by parameter."""
    finite = models.TrialValueModel.TrialValueType.FINITE
    trials, params, values = [], [], []
    for trial, record in part:
        common: dict[str, Any] = {"trial_id": trial._trial_id}
        trials.append(
            common
            | {
                "number": trial.number,
                "study_id": 1,
                "state": trial.state,
                "datetime_start": trial.datetime_start,
                "datetime_complete": trial.datetime_complete,
            }
        )
        params += [
            common
            | {
                "param_name": name,
                "param_value": trial.distributions[name].to_internal_repr(value),
                "distribution_json": distribution_to_json(trial.distributions[name]),
            }
            for name, value in trial.params.items()
        ]
        for place, name in enumerate(("accuracy", "memory_ratio")):
            value = record.objective_value(name)
            assert value is not None
            searched = OBJECTIVES[name].to_search(value)
            values.append(common | {"objective": place, "value": searched, "value_type": finite})
    with engine.begin() as connection:
        connection.execute(insert(models.TrialModel.__table__), trials)
        connection.execute(insert(models.TrialParamModel.__table__), params)
        connection.execute(insert(models.TrialValueModel.__table__), values)


def main() -> None:
    """Measure each size in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--begun", type=int, nargs="+", default=[200, 10_000])
    parser.add_argument("--trials", type=int, default=200)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        folders = [Path(root) / str(count) for count in arguments.begun]
        for folder in folders:
            folder.mkdir()
        _at_once(fill, [(folder, int(folder.name)) for folder in folders])
        ready = _FRESH.Barrier(len(folders), timeout=_LONGEST_WAIT_S)
        _at_once(go_on, [(folder, arguments.trials, ready) for folder in folders])


def _at_once(act: Callable[..., None], given: Sequence[tuple[Any, ...]]) -> None:
    processes = [_FRESH.Process(target=act, args=one) for one in given]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0, act


if __name__ == "__main__":
    main()
