"""A training step, a forward pass and a projection: mlgsearch beside a plain reference.

    python benchmarks/step.py [--repeats 7] [--only NAME ...] [--no-memory]

*Training*: one step of ResNet-18 (CIFAR stem, batch 64), DenseNet-121 and MobileNetV2 with
distillation, penalty and RAdam. Ours is `mlgsearch.train.epoch.train_epoch` on an epoch of one
batch, augmentation included; the reference is `plain_student.py`: dense weights generated, then
convolved, the teacher in the loop, contiguous layout, float32. *Inference*: a packed student
against the dense network it came from, both channels_last. *Projection*: `compress` against one
`torch.linalg.svd` a level in float32, without any refinement. The two sides alternate in one
process; figures are medians. Peak memory (on two threads) is that of a process of its own which
takes three steps.

Prints a table and writes `benchmarks/step.json`: `name`, `ours_ms`, `baseline_ms`, `ratio`
(baseline over ours), `threads`, `batch`, and for training steps `ours_mib`, `baseline_mib`.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from plain_student import plain_loss, plain_projection, plain_student
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from mlgsearch.mlg.compress import compress
from mlgsearch.mlg.network import network_shape
from mlgsearch.mlg.packed import settings_of
from mlgsearch.mlg.penalty import orthonormality
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.mlg.uniform import uniform_settings
from mlgsearch.records import FiveNumbers
from mlgsearch.train.augmentation import Augmentation
from mlgsearch.train.batches import TrainingBatches
from mlgsearch.train.device import set_up_device
from mlgsearch.train.distillation import SoftTargets
from mlgsearch.train.epoch import train_epoch
from mlgsearch.train.images import Images
from mlgsearch.train.models import build_model
from mlgsearch.train.optim import build_optimiser
from mlgsearch.train.packed_card import PackedCard
from mlgsearch.train.packed_file import load_packed, write_packed
from mlgsearch.train.spec import DistillationSpec, ModelSpec, OptimiserSpec

CPU = torch.device("cpu")
BATCH = 64
NETWORKS: dict[str, FiveNumbers] = {
    "resnet18": (2, 44, 3, 6, 3),
    "densenet121": (1, 25, 4, 6, 6),
    "mobilenet_v2": (2, 44, 3, 6, 3),
}
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class Figure:
    """One line of the table; times in milliseconds, memory in MiB."""

    name: str
    ours_ms: float
    baseline_ms: float
    threads: int
    batch: int
    ours_mib: float | None = None
    baseline_mib: float | None = None

    def to_dict(self) -> dict[str, object]:
        """Give the line as it is written to `step.json`."""
        content = {key: value for key, value in vars(self).items() if value is not None}
        return content | {"ratio": round(self.baseline_ms / self.ours_ms, 3)}


def teacher_of(name: str) -> nn.Module:
    """Give a network with random weights and batch-norm statistics, in eval mode."""
    spec = ModelSpec(name=name)
    network = build_model(spec, classes=10, channels=3, image_size=(32, 32), seed=0)
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
    return network.eval()


def settings_for(name: str, network: nn.Module) -> dict[str, LayerSetting]:
    """Give the paper's uniform setting of a network."""
    return uniform_settings(network_shape(network, (3, 32, 32)), NETWORKS[name])


def student_of(name: str, teacher: nn.Module, refine_steps: int = 3) -> nn.Module:
    """Give a student projected from a teacher."""
    student = deepcopy(teacher)
    compress(student, settings_for(name, student), refine_steps=refine_steps)
    return student


def one_batch() -> Images:
    """Give a set whose training part is one batch of random images."""
    generator = torch.Generator().manual_seed(2)
    pixels = torch.randint(0, 256, (BATCH, 3, 32, 32), generator=generator, dtype=torch.uint8)
    labels = torch.randint(0, 10, (BATCH,), generator=generator)
    whole, none = torch.arange(BATCH), torch.arange(0)
    names = tuple("abcdefghij")
    half = torch.full((3,), 0.5)
    return Images(pixels, labels, names, whole, none, none, half, half, "random")


def our_step(name: str, teacher: nn.Module, precision: str) -> Callable[[], float]:
    """Give one training step of ours; it returns the loss."""
    spec = OptimiserSpec.model_validate(
        {"batch_size": BATCH, "epochs": 100, "precision": precision}
    )
    student = student_of(name, teacher).to(memory_format=torch.channels_last)
    optimiser = build_optimiser(student, spec)
    batches = TrainingBatches(one_batch(), Augmentation(4, flips=True), CPU)
    with torch.inference_mode():
        batches.start_epoch(0, 1)
        logits = teacher(batches.inputs(torch.arange(BATCH)))
    targets = SoftTargets(logits.clone(), DistillationSpec())

    def loss_of(logits: Tensor, labels: Tensor, positions: Tensor) -> Tensor:
        return targets.loss(logits, labels, positions) + 1e-3 * orthonormality(student)

    def step() -> float:
        totals = train_epoch(
            student,
            optimiser,
            batches,
            spec,
            loss_of,
            seed=0,
            epoch=1,
            memory_format=torch.channels_last,
        )
        return totals.loss

    return step


def plain_step(name: str, teacher: nn.Module) -> Callable[[], float]:
    """Give one training step of the reference; it returns the loss."""
    student = plain_student(student_of(name, teacher)).train()
    optimiser = torch.optim.RAdam(
        student.parameters(), lr=2e-3, weight_decay=5e-4, decoupled_weight_decay=True
    )
    batches = TrainingBatches(one_batch(), Augmentation(4, flips=True), CPU)

    def step() -> float:
        batches.start_epoch(0, 1)
        inputs = batches.inputs(torch.arange(BATCH))
        with torch.no_grad():
            teacher_logits = teacher(inputs)
        loss = plain_loss(student, student(inputs), teacher_logits, batches.labels)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        return float(loss.detach())

    return step


def alternate(
    ours: Callable[[], object], baseline: Callable[[], object], repeats: int, warm_up: int = 2
) -> tuple[float, float]:
    """Give the median milliseconds of two things done by turns."""
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(warm_up + repeats):
        for act, taken in zip((ours, baseline), times, strict=True):
            began = time.perf_counter()
            act()
            if turn >= warm_up:
                taken.append(1000 * (time.perf_counter() - began))
    return statistics.median(times[0]), statistics.median(times[1])


def training(name: str, threads: int, repeats: int, has_memory: bool) -> list[Figure]:
    """Time a training step; the first losses of both must agree."""
    teacher = teacher_of(name)
    found = []
    for precision in PRECISIONS:
        ours, baseline = our_step(name, teacher, precision), plain_step(name, teacher)
        losses = ours(), baseline()
        assert abs(losses[0] - losses[1]) < 0.02 * losses[1], losses
        memory = [
            peak_memory(side, name, threads) if has_memory else None
            for side in (precision, "plain")
        ]
        found.append(
            Figure(
                f"{name} training step, {precision}",
                *alternate(ours, baseline, repeats),
                threads,
                BATCH,
                *memory,
            )
        )
    return found


def inference(name: str, threads: int, repeats: int) -> list[Figure]:
    """Time a packed student, read from its file, against the dense network."""
    dense = teacher_of(name)
    student = student_of(name, dense)
    card = PackedCard(
        model=ModelSpec(name=name),
        classes=10,
        channels=3,
        image_size=(32, 32),
        method="dorefa",
        settings=tuple(settings_of(student).values()),
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
    )
    with TemporaryDirectory() as folder:
        path = Path(folder) / "student.safetensors"
        write_packed(path, student, card)
        packed = load_packed(path)
    dense = dense.to(memory_format=torch.channels_last)
    found = []
    for batch in (1, BATCH):
        x = torch.randn(batch, 3, 32, 32, generator=torch.Generator().manual_seed(3))
        x = x.contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            times = alternate(
                lambda x=x: packed(x),  # type: ignore[misc]
                lambda x=x: dense(x),  # type: ignore[misc]
                max(repeats, 31) if batch == 1 else repeats,
            )
        found.append(Figure(f"{name} inference", *times, threads, batch))
    return found


def projection(name: str, threads: int) -> Figure:
    """Time projecting a whole network; medians of three, for the reference takes long."""
    teacher = teacher_of(name)
    settings = settings_for(name, teacher)

    def ours() -> None:
        compress(deepcopy(teacher), settings)

    times = alternate(ours, lambda: plain_projection(teacher, settings), 3, warm_up=1)
    return Figure(f"{name} projection", *times, threads, 0)


def peak_memory(side: str, name: str, threads: int) -> float:
    """Give the MiB that three steps add to a process at most, measured in one of its own."""
    command = [sys.executable, __file__, "--peak", side, name, str(threads)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def print_peak(side: str, name: str, threads: int) -> None:
    """Take three steps and print by how many MiB the process grew at its largest."""
    set_up_device(CPU, threads)
    teacher = teacher_of(name)
    step = plain_step(name, teacher) if side == "plain" else our_step(name, teacher, side)
    before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here on
    for _ in range(3):
        step()
    status = Path("/proc/self/status").read_text()
    (peak,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    print(int(peak) / 1024 - before / 2**20)


def table_of(figures: list[Figure]) -> Table:
    """Lay the figures out."""
    table = Table("what", "threads", "batch", "ours ms", "baseline ms", "ratio", "MiB", "baseline")
    for column in table.columns[1:]:
        column.justify = "right"
    for f in figures:
        table.add_row(
            f.name,
            str(f.threads),
            str(f.batch or "-"),
            f"{f.ours_ms:.1f}",
            f"{f.baseline_ms:.1f}",
            f"{f.baseline_ms / f.ours_ms:.2f}",
            f"{f.ours_mib:.0f}" if f.ours_mib else "",
            f"{f.baseline_mib:.0f}" if f.baseline_mib else "",
        )
    return table


def main() -> None:
    """Measure everything and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--only", nargs="*", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        side, name, threads = arguments.peak
        print_peak(side, name, int(threads))
        return
    console = Console(width=120)
    figures: list[Figure] = []
    for name in arguments.only:
        for threads in (1, 2):
            console.print(f"[dim]{name}, {threads} threads[/dim]")
            set_up_device(CPU, threads)
            has_memory = threads == 2 and not arguments.no_memory
            figures += training(name, threads, arguments.repeats, has_memory)
            figures += inference(name, threads, arguments.repeats)
        figures.append(projection(name, threads))
        path = Path(__file__).with_name("step.json")
        path.write_text(json.dumps([f.to_dict() for f in figures], indent=1) + "\n")
    console.print(table_of(figures))


if __name__ == "__main__":
    main()
