"""Single students trained outside any search, resumably, and how these benchmarks are called."""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.paths import cache_directory
from mlgsearch.planning.budget.allocation import Allocator
from mlgsearch.study.file.spec import StudySpec
from mlgsearch.study.file.study_file import parse_study
from mlgsearch.study.space.layer_tables import make_allocator, open_tables
from mlgsearch.train.device import best_device, emulates_bfloat16
from mlgsearch.train.loop.evaluation import HeldOutPart
from mlgsearch.train.progress import no_progress
from mlgsearch.train.student.student import StudentTraining
from mlgsearch.train.student.trial import TrialJob
from mlgsearch.train.teacher.prepared import Prepared, prepare

#: Of trainings on CIFAR-10: bfloat16 where the processor has it, several times slower without.
PRECISION = "float32" if emulates_bfloat16(best_device()) else "bfloat16"

_SPACE = {"hyperparameters": {"quantisation.norm_bits": {"choices": [16, 32]}}}
_SGD = {"optimiser": "sgd", "schedule": "one_cycle", "learning_rate": 0.2, "epochs": 20}

#: The parts of a study file that all students of a task share.
TASKS: dict[str, dict[str, Any]] = {
    "digits": {
        "data": {"name": "digits"},
        "model": {"name": "resnet8", "width": 8},
        "teacher": {
            "training": {"optimiser": "adamw", "learning_rate": 0.01, "epochs": 15},
        },
        "space": _SPACE,
    },
    "cifar10": {  # 10,000 images: 6,000 train, 2,000 validate, 2,000 are the test part
        "data": {
            "name": "folder",
            "image_size": 32,
            "limit": 10_000,
            "validation_fraction": 0.2,
            "test_fraction": 0.2,
        },
        "model": {"name": "resnet8"},
        "teacher": {"training": {**_SGD, "batch_size": 128, "precision": PRECISION}},
        "space": _SPACE,
    },
}

#: What every training of a task has.
_SHARED: dict[str, dict[str, Any]] = {
    "digits": {},
    "cifar10": {"batch_size": 128, "precision": PRECISION},
}

#: The longest training that the teacher's logits are computed for ahead.
_MOST_EPOCHS = 10

Line = dict[str, Any]


def study(task: str, root: str | None, **parts: Any) -> StudySpec:
    """Return a task's study; the images of `cifar10` are under ``root``."""
    content = {"name": task, **TASKS[task], **parts}
    if task == "cifar10":
        content["data"] = {**content["data"], "root": str(Path(root or ".").resolve())}
    return parse_study(content, "benchmark")


@cache
def prepared(task: str, root: str | None) -> Prepared:
    """Return a task's images, teacher and logits; made at the first call, then cached."""
    return prepare(
        study(task, root).train_spec(),
        cache_directory(),
        epochs=_MOST_EPOCHS,
        device=best_device(),
        progress=no_progress,
    )


@cache
def allocator(task: str, root: str | None, weighting: str | None = None) -> Allocator:
    """Return what plans a task's students; without a weighting by the default one."""
    space = TASKS[task]["space"] | ({} if weighting is None else {"weighting": weighting})
    spec = study(task, root, space=space)
    tables = open_tables(spec, prepared(task, root), cache_directory(), no_progress)
    return make_allocator(spec, tables)


def train(
    task: str,
    root: str | None,
    settings: Mapping[str, LayerSetting],
    *,
    training: Mapping[str, Any],
    quantisation: Mapping[str, Any],
    seed: int,
) -> dict[str, float]:
    """Train one student; return its accuracy on the validation and the test part, fractions."""
    spec = study(
        task,
        root,
        training={**_SHARED[task], **training},
        quantisation=dict(quantisation),
        seed=seed,
    )
    shared = prepared(task, root)
    student = StudentTraining(shared, TrialJob(settings, spec.train_spec()))
    while not student.is_done:
        record = student.run_epoch()
    test = HeldOutPart(shared.images, shared.images.test, shared.device)
    _, accuracy = test.evaluate(student.network)
    student.close()
    return {"validation": record.validation_accuracy, "test": accuracy}


def parsers(
    purpose: str, folder: str, *, seeds: int
) -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    """Return the parser of a benchmark that runs and reports, and that of its ``run``."""
    parser = argparse.ArgumentParser(description=purpose.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path(folder))
    commands = parser.add_subparsers(dest="command", required=True)
    runner = commands.add_parser("run")
    runner.add_argument("--root", help="a folder with a subfolder of images for each class")
    runner.add_argument("--tasks", choices=TASKS, nargs="+", default=list(TASKS))
    runner.add_argument("--seeds", type=int, default=seeds)
    runner.add_argument("--processes", type=int, default=2)
    commands.add_parser("report")
    return parser, runner


def follow(
    parser: argparse.ArgumentParser,
    run: Callable[[argparse.Namespace], None],
    report: Callable[[argparse.Namespace], None],
) -> int:
    """Do what the command line asks; return the exit code."""
    arguments = parser.parse_args()
    (run if arguments.command == "run" else report)(arguments)
    return 0


def read(path: Path) -> list[Line]:
    """Read what `run_missing` wrote."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def run_missing(
    path: Path, wanted: Sequence[Line], measure: Callable[[Line], Line], processes: int
) -> None:
    """Append to ``path`` the results of what is wanted and not there, and print them.

    ``measure`` runs in processes of one thread; its keys are added to those wanted.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    keys = list(wanted[0])
    done = {json.dumps([line[key] for key in keys]) for line in read(path)}
    missing = [line for line in wanted if json.dumps(list(line.values())) not in done]
    with (
        ProcessPoolExecutor(processes, get_context("spawn"), torch.set_num_threads, (1,)) as pool,
        path.open("a", encoding="utf-8") as file,
    ):
        for line, result in zip(missing, pool.map(measure, missing), strict=True):
            text = json.dumps(line | result)
            file.write(text + "\n")
            file.flush()
            print(text, flush=True)
