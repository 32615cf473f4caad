"""The paper's experiment: a network compressed to 0.0080 and 0.0050 of its memory on CIFAR-10.

    python benchmarks/headline.py run --root FOLDER [--network NAME] [--teacher-epochs N]
                                      [--epochs N] [--crop-padding N] [--cutout N]
                                      [--seeds N] [--limit N] [--threads N]
                                      [--optimiser NAME] [--precision NAME]
    python benchmarks/headline.py report

For each of two uniform settings, the paper's (2, 44, 3, 6, 3) and the one of fewer bases that fits
into 0.0050, two students are trained alike: the uniform one, and one planned layer by layer for
exactly as many bits. Both store batch-norm at 16 bits; the uniform one's head has 4 bits, the
planned one's as many as the plan finds. A tenth of the images is the test part, by
which nothing is chosen.

Everything is resumable: the teacher and every student have a checkpoint for each epoch under
``--folder``, and a finished student is not trained again. Each is written there as a packed file
that `search.py evaluate` measures. `report` writes `headline.json`.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any, get_args

import torch

from mlgsearch.mlg.half_norm import NormBits
from mlgsearch.mlg.network import NetworkShape, network_sizes
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.mlg.uniform import uniform_settings
from mlgsearch.study.file.spec import StudySpec
from mlgsearch.study.file.study_file import parse_study
from mlgsearch.study.space.layer_tables import make_allocator, open_tables
from mlgsearch.train.device import best_device
from mlgsearch.train.files.packed_file import write_packed
from mlgsearch.train.loop.evaluation import HeldOutPart
from mlgsearch.train.spec import OptimiserName
from mlgsearch.train.student.student import StudentTraining
from mlgsearch.train.student.trial import TrialJob
from mlgsearch.train.teacher.prepared import Prepared, prepare

#: The paper's setting for ResNet-18, and how much memory a student may take at most.
PAPER = (2, 44, 3, 6, 3)
RATIOS = (0.0080, 0.0050)
HEAD_BITS = 4
NORM_BITS: NormBits = 16
ARMS = ("uniform", "planned")


def study(arguments: argparse.Namespace) -> StudySpec:
    """Return the study that all students share."""
    precision = arguments.precision
    content: dict[str, Any] = {
        "name": f"headline_{arguments.network}",
        "data": {
            "name": "folder",
            "root": str(Path(arguments.root).resolve()),
            "validation_fraction": 0.02,
            "test_fraction": 0.1,
            "crop_padding": arguments.crop_padding,
            "cutout": arguments.cutout,
        },
        "model": {"name": arguments.network, "head_bias": False},
        "teacher": {
            "training": {
                "optimiser": "sgd",
                "schedule": "one_cycle",
                "learning_rate": 0.1,
                "label_smoothing": 0.1,
                "batch_size": 128,
                "epochs": arguments.teacher_epochs,
                "precision": precision,
            }
        },
        "training": {
            "optimiser": arguments.optimiser,
            "epochs": arguments.epochs,
            "batch_size": 128,
            "precision": precision,
        },
        "quantisation": {"norm_bits": NORM_BITS},
    }
    if arguments.limit is not None:
        content["data"]["limit"] = arguments.limit
    return parse_study(content, "benchmark")


def recipe(arguments: argparse.Namespace) -> str:
    """Name all that was chosen of a training, so that no two of them share a checkpoint or row."""
    chosen = [
        f"{arguments.epochs}of{arguments.teacher_epochs}",
        f"pad{arguments.crop_padding}",
        f"cut{arguments.cutout}",
        arguments.precision,
        arguments.optimiser,
    ]
    return "-".join(chosen if arguments.limit is None else [*chosen, f"{arguments.limit}images"])


def uniform_setting(shape: NetworkShape, ratio: float) -> tuple[int, int, int, int, int]:
    """Return the paper's setting with the most bases across kernels that fit into ``ratio``."""
    b_in, most, *bits = PAPER
    for b_out in range(most, 1, -1):
        setting = (b_in, b_out, bits[0], bits[1], bits[2])
        settings = uniform_settings(shape, setting, head_bits=HEAD_BITS)
        if network_sizes(shape, settings, NORM_BITS).memory_ratio <= ratio:
            return setting
    raise SystemExit(f"no setting like {PAPER} of this network fits into {ratio}")


def train(
    arguments: argparse.Namespace,
    prepared: Prepared,
    spec: StudySpec,
    settings: dict[str, LayerSetting],
    name: str,
    seed: int,
) -> dict[str, Any]:
    """Train one student from its last checkpoint on, write its packed file, measure it."""
    job = TrialJob(settings, spec.train_spec().model_copy(update={"seed": seed}))
    directory = arguments.folder / "checkpoints" / name
    student = StudentTraining(prepared, job, directory, threads=arguments.threads, resumes=True)
    while not student.is_done:
        record = student.run_epoch()
        print(
            f"{name}: epoch {record.epoch} of {arguments.epochs}, "
            f"validation {record.validation_accuracy:.2%}, {record.epoch_s:.0f} s",
            flush=True,
        )
    _, accuracy = HeldOutPart(prepared.images, prepared.images.test, prepared.device).evaluate(
        student.network
    )
    packed = arguments.folder / "students" / f"{name}.mlg"
    packed.parent.mkdir(parents=True, exist_ok=True)
    size = write_packed(packed, student.network, student.card())
    seconds = sum(record.epoch_s for record in student.history)
    student.close()
    return {"test": accuracy, "packed_bytes": size, "train_s": round(seconds, 1)}


def run(arguments: argparse.Namespace) -> None:
    """Train what is missing."""
    began = time.perf_counter()
    torch.set_num_threads(arguments.threads)
    spec = study(arguments)
    cache = arguments.folder / "cache"

    def progress(stage: str, done: int, total: int, note: str) -> None:
        passed = time.perf_counter() - began
        print(f"{stage} {done} of {total} {note} ({passed:.0f} s)", flush=True)

    prepared = prepare(
        spec.train_spec(), cache, epochs=arguments.epochs, device=best_device(), progress=progress
    )
    torch.set_num_threads(arguments.threads)
    test = HeldOutPart(prepared.images, prepared.images.test, prepared.device)
    _, teacher = test.evaluate(prepared.teacher.network)
    print(f"teacher: {teacher:.2%} of {len(prepared.images.test)} test images", flush=True)
    allocator = make_allocator(spec, open_tables(spec, prepared, cache, progress))
    shape = prepared.network_shape()
    path = arguments.folder / "headline.jsonl"
    done: set[str] = set()
    if path.exists():
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        done = {line["student"] for line in lines}
    for seed in range(arguments.seeds):
        for ratio in RATIOS:
            setting = uniform_setting(shape, ratio)
            settings = uniform_settings(shape, setting, head_bits=HEAD_BITS)
            bits = network_sizes(shape, settings, NORM_BITS).bits
            for arm in ARMS:
                name = f"{arguments.network}-{ratio:.4f}-{arm}-{recipe(arguments)}-{seed}"
                if name in done:
                    continue
                if arm == "planned":
                    planned = allocator.allocate(bits)
                    settings, bits = dict(planned.settings), planned.bits
                result = train(arguments, prepared, spec, dict(settings), name, seed)
                line = {
                    "student": name,
                    "network": arguments.network,
                    "arm": arm,
                    "at_most": ratio,
                    "uniform": list(setting),
                    "seed": seed,
                    "memory_ratio": round(bits / (32 * shape.full_parameters), 6),
                    "recipe": recipe(arguments),
                    "epochs": arguments.epochs,
                    "teacher_epochs": arguments.teacher_epochs,
                    "teacher": teacher,
                    "train_images": len(prepared.images.train),
                    "test_images": len(prepared.images.test),
                    "device": str(prepared.device),
                    "threads": arguments.threads,
                    **result,
                }
                with path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
                print(json.dumps(line), flush=True)


def report(arguments: argparse.Namespace) -> None:
    """Write `headline.json`, and print its rows."""
    path = arguments.folder / "headline.jsonl"
    cells: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for text in path.read_text(encoding="utf-8").splitlines():
        line = json.loads(text)
        key = tuple(line[part] for part in ("network", "at_most", "arm", "recipe"))
        cells.setdefault(key, []).append(line)
    figures = []
    for (network, at_most, arm, trained), lines in sorted(cells.items()):
        tests = [100 * line["test"] for line in lines]
        row = {
            "network": network,
            "at_most": at_most,
            "arm": arm,
            "recipe": trained,
            "epochs": lines[0]["epochs"],
            "teacher_epochs": lines[0]["teacher_epochs"],
            "teacher_percent": round(100 * lines[0]["teacher"], 2),
            "memory_ratio": lines[0]["memory_ratio"],
            "packed_bytes": lines[0]["packed_bytes"],
            "test_percent": round(statistics.fmean(tests), 2),
            "by_seed": [round(test, 2) for test in tests],
            "train_images": lines[0]["train_images"],
            "test_images": lines[0]["test_images"],
            "train_s": round(statistics.fmean(line["train_s"] for line in lines), 1),
        }
        figures.append(row)
        print(
            f"{network} at most {at_most:.4f}, {arm}: {row['test_percent']:.2f} % "
            f"(teacher {row['teacher_percent']:.2f} %), {row['packed_bytes']:,} bytes, "
            f"{trained}"
        )
    text = json.dumps(figures, indent=1) + "\n"
    (arguments.folder / "headline.json").write_text(text, encoding="utf-8")


def main() -> int:
    """Run or report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("headline-benchmark"))
    commands = parser.add_subparsers(dest="command", required=True)
    runner = commands.add_parser("run")
    runner.add_argument("--root", required=True, help="a folder with a folder for each class")
    runner.add_argument("--network", default="resnet18")
    runner.add_argument("--teacher-epochs", type=int, default=16)
    runner.add_argument("--epochs", type=int, default=20)
    runner.add_argument("--crop-padding", type=int, default=2)
    runner.add_argument("--cutout", type=int, default=0)
    runner.add_argument("--seeds", type=int, default=1)
    runner.add_argument("--limit", type=int)
    runner.add_argument("--threads", type=int, default=torch.get_num_threads())
    optimisers = get_args(OptimiserName)
    runner.add_argument("--optimiser", choices=optimisers, default="relative_muon")
    runner.add_argument("--precision", choices=("bfloat16", "float32"), default="bfloat16")
    commands.add_parser("report")
    arguments = parser.parse_args()
    (run if arguments.command == "run" else report)(arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
