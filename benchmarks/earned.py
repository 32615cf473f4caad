"""What the trials after the plan earn: searches beside a plan alone, judged on the test part.

    python benchmarks/earned.py [--trials 60] [--seeds 3] [--arm NAME ...] run digits
    python benchmarks/earned.py --root FOLDER run cifar10
    python benchmarks/earned.py report digits cifar10

Each arm is one study per seed through the real service, with the default recipe: a denser plan and
nothing else, the plan and then TPE's gains, the plan and then random gains, and uniform settings
stored with the options that a plan has. `run` goes on where it was stopped. `report` takes of every
study, at each memory ratio, the best student by the validation part, measures it on the test part,
and writes `earned.json`. The seed moves the search and the trainings; of a plan alone it moves only
the trainings, so its spread over the seeds is their noise.
"""

import argparse
import json
import statistics
import sys
from itertools import product
from pathlib import Path
from typing import Any

import torch
from search_arms import FAIR_GRID, Line
from students import PRECISION

from mlgsearch.paths import cache_directory, runs_directory
from mlgsearch.records import TrialRecord, TrialState
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.store import ResultStore
from mlgsearch.study.artifacts.store import artifacts_of
from mlgsearch.study.drive import Options
from mlgsearch.study.file.spec import StudySpec
from mlgsearch.study.file.study_file import parse_study
from mlgsearch.study.launch import launch
from mlgsearch.train.data.images import Images
from mlgsearch.train.data.load import load_images
from mlgsearch.train.device import memory_format
from mlgsearch.train.loop.evaluation import HeldOutPart
from mlgsearch.train.student.finished_student import open_student

_ALLOCATION: dict[str, Any] = {
    "space": {
        "kind": "allocation",
        "hyperparameters": {"quantisation.norm_bits": {"choices": [16, 32]}},
    }
}
#: Arms by name: parts of a study file, and those of its search.
ARMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plan alone": (_ALLOCATION, {"planned": 1000}),
    "plan, then TPE": (_ALLOCATION, {}),
    "plan, then random gains": (_ALLOCATION, {"sampler": "random"}),
    "uniform grid, equal options": (
        {"space": {"kind": "uniform", "head_bits": 4}, "quantisation": {"norm_bits": 16}},
        {"sampler": "random", "first": FAIR_GRID},
    ),
}
PLAN = "plan alone"

_CIFAR10_TRAINING = {"batch_size": 128, "precision": PRECISION}

TASKS: dict[str, dict[str, Any]] = {
    "digits": {
        "data": {"name": "digits", "validation_fraction": 0.25, "test_fraction": 0.25},
        "model": {"name": "resnet8", "width": 8},
        "teacher": {"training": {"epochs": 15}},
        "training": {"epochs": 6},
    },
    "cifar10": {  # 20,000 images at 16x16: 10,000 train, 5,000 validate, 5,000 are the test part
        "data": {
            "name": "folder",
            "image_size": 16,
            "limit": 20_000,
            "validation_fraction": 0.25,
            "test_fraction": 0.25,
        },
        "model": {"name": "resnet8"},
        "teacher": {"training": {"epochs": 20, **_CIFAR10_TRAINING}},
        "training": {"epochs": 2, **_CIFAR10_TRAINING},
    },
}

#: Five memory ratios in the steep part of each task's curve.
RATIOS = {
    "digits": (0.0115, 0.0126, 0.0145, 0.017, 0.020),
    "cifar10": (0.012, 0.016, 0.020, 0.024, 0.028),
}
#: Of how many trials the best is taken; the first eight of a plan are spread over all sizes.
COUNTS = (8, 60)


def study(task: str, root: str | None, arm: str, seed: int, trials: int) -> StudySpec:
    """Return one arm's study of one seed."""
    parts, search = ARMS[arm]
    content = {
        "name": f"{task}: {arm}, {trials} trials, seed {seed}",
        **TASKS[task],
        **parts,
        "seed": seed,
        "search": {"seed": seed, "n_trials": trials, **search},
    }
    if content["search"].get("planned"):
        content["search"]["planned"] = trials
    if content["data"]["name"] == "folder":
        content["data"] = {**content["data"], "root": str(Path(root or ".").resolve())}
    return parse_study(content, "benchmark")


def wanted(arguments: argparse.Namespace) -> list[tuple[str, int, int]]:
    """Return arms, numbers of trials and seeds; a plan of eight is one that is made for eight."""
    runs = list(product(arguments.arms or ARMS, (arguments.trials,), range(arguments.seeds)))
    short = [(PLAN, COUNTS[0], seed) for seed in range(arguments.seeds)]
    return [*short, *runs] if arguments.trials > COUNTS[0] else runs


def run(arguments: argparse.Namespace, storage: str) -> bool:
    """Launch what is missing; return False where a signal stopped it."""
    engine = open_engine(storage)
    for arm, trials, seed in sorted(wanted(arguments), key=lambda run: run[2]):
        spec = study(arguments.task, arguments.root, arm, seed, trials)
        options = Options(max_parallel=arguments.parallel)
        if not launch(spec, "", engine, Line(spec.name), options=options).is_finished:
            return False
    return True


class Judge:
    """Measures students of a task on its test part, each once."""

    def __init__(self, store: ResultStore, storage: str, images: Images) -> None:
        self._store = store
        self._runs = runs_directory(storage)
        self._layout = memory_format(images.input_shape)
        self._test = HeldOutPart(images, images.test, torch.device("cpu"))
        self._known: dict[tuple[str, int], float] = {}

    def accuracy(self, study: str, trial: TrialRecord) -> float:
        """Return a COMPLETE trial's accuracy on the test part, in percent."""
        number = trial.number if trial.reused_from is None else trial.reused_from
        if (study, number) not in self._known:
            artifacts = artifacts_of(self._store.study(study), self._runs)
            with artifacts.last(number) as directory:
                network = open_student(directory).network
            _, accuracy = self._test.evaluate(network.to(memory_format=self._layout), self._layout)
            self._known[study, number] = 100 * accuracy
        return self._known[study, number]


def best_within(trials: list[TrialRecord], ratio: float) -> TrialRecord | None:
    """Return the most accurate COMPLETE trial by validation of at most a memory ratio."""
    found = [
        trial
        for trial in trials
        if trial.state is TrialState.COMPLETE and trial.sizes.memory_ratio <= ratio
    ]
    return max(found, key=lambda trial: trial.accuracy or 0.0, default=None)


def report(arguments: argparse.Namespace, storage: str) -> None:
    """Write `earned.json`, and print a table of each task."""
    store = ResultStore(open_engine(storage, read_only=True))
    names = {record.name for record in store.studies()}
    figures: dict[str, Any] = {}
    for task in arguments.tasks:
        spec = study(task, arguments.root, PLAN, 0, arguments.trials)
        judge = Judge(store, storage, load_images(spec.data, cache_directory()))
        rows = figures[task] = []
        for arm, trials, seed in wanted(arguments):
            name = study(task, arguments.root, arm, seed, trials).name
            if name not in names:
                continue
            finished = [trial for trial in store.trials(name) if trial.state.is_finished]
            if len(finished) < trials:
                continue  # the best of fewer is not comparable
            for ratio in RATIOS[task]:
                best = best_within(finished, ratio)
                if best is not None:
                    rows.append(
                        {
                            "arm": f"{arm}, {trials} trials",
                            "at_most": ratio,
                            "seed": seed,
                            "trial": best.number,
                            "memory_ratio": round(best.sizes.memory_ratio, 5),
                            "validation": round(100 * (best.accuracy or 0.0), 2),
                            "test": round(judge.accuracy(name, best), 2),
                        }
                    )
        print(f"{task}: accuracy on the test part, mean of the seeds and its deviation")
        for arm in dict.fromkeys(row["arm"] for row in rows):
            cells = []
            for ratio in RATIOS[task]:
                found = [r["test"] for r in rows if (r["arm"], r["at_most"]) == (arm, ratio)]
                spread = statistics.stdev(found) if len(found) > 1 else float("nan")
                mean = f"{statistics.fmean(found):.1f} ± {spread:.1f}" if found else "-"
                cells.append(f"{ratio}: {mean}")
            print(f"  {arm:40s} {'  '.join(cells)}")
    path = arguments.folder / "earned.json"
    path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    """Run or report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("earned-benchmark"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--arm", choices=ARMS, action="append", dest="arms", help="default: all")
    parser.add_argument("--trials", type=int, default=COUNTS[-1])
    parser.add_argument("--root", help="a folder with a folder of images for each class")
    commands = parser.add_subparsers(dest="command", required=True)
    runner = commands.add_parser("run")
    runner.add_argument("task", choices=TASKS)
    runner.add_argument("--parallel", type=int, default=2)
    reporter = commands.add_parser("report")
    reporter.add_argument("tasks", choices=TASKS, nargs="+")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    storage = f"sqlite:///{arguments.folder.resolve() / 'earned.db'}"
    if arguments.command == "run":
        return 0 if run(arguments, storage) else 1
    report(arguments, storage)
    return 0


if __name__ == "__main__":
    sys.exit(main())
