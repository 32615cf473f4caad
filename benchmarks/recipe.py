"""How well a student trains under a recipe, beside a sweep of others made for the same student.

    python benchmarks/recipe.py run [--root FOLDER] [--tasks digits cifar10] [--recipes NAME ...]
    python benchmarks/recipe.py report

`run` trains planned students of several sizes for 2, 4 and 10 epochs under every recipe and seed,
and appends each one's accuracy on the validation and the test part to `recipe.jsonl` in the folder;
it goes on where it stopped. `cifar10` is 10,000 of the images under --root at 32x32, 6,000 of them
train. `report` writes `recipe.json`: a cell is a task, a size and a number of epochs, its figure
the mean over seeds on the test part, in percent; `gap` is how far the default lies below the best
other recipe of that very cell.

The default's numbers were chosen on other sizes and lengths (digits at 0.0115, 0.018 and 0.035 of
the memory, 2 and 6 epochs; CIFAR-10 at 0.007, 0.014 and 0.030, 2 epochs).
"""

import argparse
import json
import statistics
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from mlgsearch.plan.allocation import Allocator
from mlgsearch.results.places import cache_directory
from mlgsearch.study.planning import make_allocator, open_tables
from mlgsearch.study.spec import StudySpec, parse_study
from mlgsearch.train.device import best_device
from mlgsearch.train.evaluation import HeldOutPart
from mlgsearch.train.prepared import Prepared, prepare
from mlgsearch.train.student import StudentTraining
from mlgsearch.train.trial import TrialJob

_SPACE = {"hyperparameters": {"quantisation.norm_bits": {"choices": [16, 32]}}}
_SGD = {"optimiser": "sgd", "schedule": "one_cycle", "learning_rate": 0.2, "epochs": 20}

#: The parts of a study file that a task's recipes share.
TASKS: dict[str, dict[str, Any]] = {
    "digits": {
        "data": {"name": "digits"},
        "model": {"name": "resnet8", "width": 8},
        "teacher": {
            "training": {"optimiser": "adamw", "learning_rate": 0.01, "epochs": 15},
        },
        "space": _SPACE,
    },
    "cifar10": {
        "data": {
            "name": "folder",
            "image_size": 32,
            "limit": 10_000,
            "validation_fraction": 0.2,
            "test_fraction": 0.2,
        },
        "model": {"name": "resnet8"},
        "teacher": {"training": {**_SGD, "batch_size": 128, "precision": "bfloat16"}},
        "space": _SPACE,
    },
}

#: What every training of a task has, whatever its recipe.
SHARED: dict[str, dict[str, Any]] = {
    "digits": {},
    "cifar10": {"batch_size": 128, "precision": "bfloat16"},
}

#: Memory ratios, none of which the default was chosen on.
RATIOS = {"digits": (0.0135, 0.025, 0.05), "cifar10": (0.010, 0.020, 0.05)}
EPOCHS = (2, 4, 10)

DEFAULT = "default"
FORMER = "radam 2e-3, cosine, dorefa"


def _adamw(rate: float, method: str) -> dict[str, Any]:
    return {
        "training": {"optimiser": "adamw", "schedule": "one_cycle", "learning_rate": rate},
        "quantisation": {"method": method},
    }


RECIPES: dict[str, dict[str, Any]] = {
    DEFAULT: {},
    FORMER: {
        "training": {"optimiser": "radam", "schedule": "cosine", "learning_rate": 2e-3},
        "quantisation": {"method": "dorefa"},
    },
    **{f"adamw {rate:g}, dorefa": _adamw(rate, "dorefa") for rate in (4e-3, 1e-2, 3e-2, 6e-2)},
    **{f"adamw {rate:g}, lsq": _adamw(rate, "lsq") for rate in (1e-2, 2e-2)},
    **{f"default at rate {rate:g}": {"training": {"learning_rate": rate}} for rate in (0.06, 0.4)},
}


@dataclass(frozen=True)
class Run:
    """One training."""

    task: str
    recipe: str
    ratio: float
    epochs: int
    seed: int


def _study(task: str, root: str | None) -> StudySpec:
    parts = TASKS[task]
    if task == "cifar10":
        parts = {**parts, "data": {**parts["data"], "root": str(Path(root or ".").resolve())}}
    return parse_study({"name": task, **parts}, "benchmark")


def _silent(stage: str, done: int, total: int, note: str) -> None:
    """Say nothing of the preparations."""


@cache
def _prepared(task: str, root: str | None) -> tuple[StudySpec, Prepared, Allocator]:
    spec = _study(task, root)
    prepared = prepare(
        spec.train_spec(),
        cache_directory(),
        epochs=max(EPOCHS),
        device=best_device(),
        progress=_silent,
    )
    return (
        spec,
        prepared,
        make_allocator(spec, open_tables(spec, prepared, cache_directory(), _silent)),
    )


def train(run: Run, root: str | None) -> dict[str, Any]:
    """Train one student; give its size, and its accuracy on the validation and the test part."""
    spec, prepared, allocator = _prepared(run.task, root)
    full = 32 * allocator.tables.shape.full_parameters
    planned = allocator.allocate(round(run.ratio * full))
    content = spec.content()
    recipe = RECIPES[run.recipe]
    content["training"] = {
        **SHARED[run.task],
        **recipe.get("training", {}),
        "epochs": run.epochs,
    }
    content["quantisation"] = {**recipe.get("quantisation", {}), "norm_bits": planned.norm_bits}
    content["seed"] = run.seed
    job = TrialJob(planned.settings, parse_study(content, "benchmark").train_spec())
    training = StudentTraining(prepared, job)
    while not training.is_done:
        record = training.run_epoch()
    test = HeldOutPart(prepared.images, prepared.images.test, prepared.device)
    _, accuracy = test.evaluate(training.network)
    training.close()
    return {
        **vars(run),
        "memory_ratio": planned.bits / full,
        "validation": record.validation_accuracy,
        "test": accuracy,
    }


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _wanted(arguments: argparse.Namespace) -> Iterator[Run]:
    for task, epochs in product(arguments.tasks, EPOCHS):
        for seed, recipe, ratio in product(range(arguments.seeds), arguments.recipes, RATIOS[task]):
            yield Run(task, recipe, ratio, epochs, seed)


def run(arguments: argparse.Namespace) -> None:
    """Train what is missing, in processes of one thread."""
    path = arguments.folder / "recipe.jsonl"
    arguments.folder.mkdir(parents=True, exist_ok=True)
    done = {Run(**{key: line[key] for key in Run.__annotations__}) for line in _read(path)}
    missing = [wanted for wanted in _wanted(arguments) if wanted not in done]
    for task in sorted({wanted.task for wanted in missing}):
        _prepared(task, arguments.root)  # the teacher is trained once, before the others ask for it
    with (
        ProcessPoolExecutor(
            arguments.processes, get_context("spawn"), torch.set_num_threads, (1,)
        ) as pool,
        path.open("a", encoding="utf-8") as file,
    ):
        for line in pool.map(train, missing, [arguments.root] * len(missing)):
            file.write(json.dumps(line) + "\n")
            file.flush()
            print(json.dumps(line), flush=True)


def report(arguments: argparse.Namespace) -> None:
    """Compare, write `recipe.json`, and print a table of it."""
    accuracies: dict[tuple[str, float, int], dict[str, list[float]]] = {}
    for line in _read(arguments.folder / "recipe.jsonl"):
        cell = accuracies.setdefault((line["task"], line["ratio"], line["epochs"]), {})
        cell.setdefault(line["recipe"], []).append(100 * line["test"])
    figures = []
    for (task, ratio, epochs), found in sorted(accuracies.items()):
        means = {name: statistics.fmean(values) for name, values in found.items()}
        others = {name: mean for name, mean in means.items() if name != DEFAULT}
        best = max(others, key=others.__getitem__)
        figures.append(
            {
                "task": task,
                "ratio": ratio,
                "epochs": epochs,
                "test_percent": {name: round(mean, 2) for name, mean in means.items()},
                "deviation": {
                    name: round(statistics.stdev(values), 2)
                    for name, values in found.items()
                    if len(values) > 1
                },
                "seeds": len(found[DEFAULT]),
                "best_other": best,
                "gap": round(others[best] - means[DEFAULT], 2),
                "above_former": round(means[DEFAULT] - means[FORMER], 2),
            }
        )
        print(
            f"{task} {ratio:g} {epochs} epochs: default {means[DEFAULT]:.1f}, "
            f"former {means[FORMER]:.1f}, best other {best} {others[best]:.1f}"
        )
    (arguments.folder / "recipe.json").write_text(
        json.dumps(figures, indent=1) + "\n", encoding="utf-8"
    )


def main() -> int:
    """Run or report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("recipe-benchmark"))
    commands = parser.add_subparsers(dest="command", required=True)
    runner = commands.add_parser("run")
    runner.add_argument("--root", help="a folder with a subfolder of images for each class")
    runner.add_argument("--tasks", choices=TASKS, nargs="+", default=list(TASKS))
    runner.add_argument("--recipes", choices=RECIPES, nargs="+", default=list(RECIPES))
    runner.add_argument("--seeds", type=int, default=3)
    runner.add_argument("--processes", type=int, default=2)
    commands.add_parser("report")
    arguments = parser.parse_args()
    (run if arguments.command == "run" else report)(arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
