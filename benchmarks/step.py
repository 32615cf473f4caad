"""A training step, a forward pass and a projection: mlgsearch beside what one writes without it.

    python benchmarks/step.py [--networks NAME ...] [--rows ROW ...] [--precisions PRECISION ...]
                              [--threads N ...] [--repeats N]

*training*: one step with distillation, penalty and RAdam, batch 64, augmentation included. Ours is
`mlgsearch.train.loop.epoch.train_epoch` on an epoch of one batch. Beside it, of `plain_student.py`:

- `plain`, the baseline: dense weights are generated and convolved, channels_last, in the row's
  precision (autocast where that is bfloat16), the teacher's logits taken from memory
- `teacher`: the same, but the teacher runs in the loop, in the same layout and precision
- `dense`: the uncompressed network, trained on the teacher's logits from memory, without penalty
- `naive`: generated and convolved in float32 and contiguous layout whatever the row's precision,
  the teacher in the loop

*memory*: MiB that three such steps add at most to a process of their own. *inference*: a packed
student, read from its file, against the dense network it came from, both channels_last, float32.
*projection*: `compress` against one `torch.linalg.svd` a level in float32, without refinement.

All sides of a row alternate in one process, under the same settings of malloc; figures are medians.
With one thread they are processor time, which other work on the machine disturbs little; with more
they are wall time, so the machine must be at rest.

A row that is measured replaces itself in `benchmarks/step.json`, all others stay, so a run can be
cut into pieces. Rows measured are printed as the tables of `benchmarks/README.md`; `--print`
prints those of the whole file and measures nothing.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from plain_student import dense_loss, plain_loss, plain_projection, plain_student
from torch import Tensor, nn

from mlgsearch.mlg.compress import compress
from mlgsearch.mlg.network import network_shape
from mlgsearch.mlg.packing.packed import settings_of
from mlgsearch.mlg.penalty import Orthonormality
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.mlg.uniform import uniform_settings
from mlgsearch.records import FiveNumbers
from mlgsearch.train.data.augmentation import Augmentation
from mlgsearch.train.data.batches import TrainingBatches
from mlgsearch.train.data.images import Images
from mlgsearch.train.device import release_memory, set_up_device
from mlgsearch.train.files.packed_card import PackedCard
from mlgsearch.train.files.packed_file import load_packed, write_packed
from mlgsearch.train.loop.distillation import SoftTargets
from mlgsearch.train.loop.epoch import train_epoch
from mlgsearch.train.loop.optim import build_optimiser
from mlgsearch.train.networks.models import build_model
from mlgsearch.train.spec import DistillationSpec, ModelSpec, OptimiserSpec, QuantisationSpec

CPU = torch.device("cpu")
BATCH = 64
JSON = Path(__file__).with_name("step.json")
ROWS = ("training", "memory", "inference", "projection")
PRECISIONS = ("float32", "bfloat16")
#: The sides of a training step; the second is the baseline.
SIDES = ("ours", "plain", "teacher", "dense", "naive")

#: A step: it returns the loss.
Step = Callable[[], float]


@dataclass(frozen=True)
class Case:
    """A network, its uniform setting and its images (C, H, W)."""

    model: ModelSpec
    five: FiveNumbers
    image: tuple[int, int, int] = (3, 32, 32)


NETWORKS = {
    "resnet18": Case(ModelSpec(name="resnet18"), (2, 44, 3, 6, 3)),
    "densenet121": Case(ModelSpec(name="densenet121"), (1, 25, 4, 6, 6)),
    "mobilenet_v2": Case(ModelSpec(name="mobilenet_v2"), (2, 44, 3, 6, 3)),
    "resnet20": Case(ModelSpec(name="resnet20"), (3, 24, 4, 4, 4)),
    "digits_resnet8": Case(ModelSpec(name="resnet8", width=8), (2, 32, 3, 6, 3), (1, 8, 8)),
}


@dataclass(frozen=True)
class Figure:
    """One row: what each side takes, ours first, then the baseline; smaller is better."""

    network: str
    row: str
    unit: str
    values: Mapping[str, float]
    precision: str = "float32"
    threads: int | None = None
    batch: int | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """What identifies the row."""
        return (self.row, self.network, self.precision, self.threads, self.batch)

    @property
    def ratio(self) -> float:
        """The baseline over ours, as it is written down."""
        ours, baseline, *_ = self.values.values()
        return round(baseline / ours, 3)

    def to_dict(self) -> dict[str, object]:
        """Return the row as it is written to `step.json`."""
        return {**vars(self), "values": dict(self.values), "ratio": self.ratio}

    @classmethod
    def from_dict(cls, content: Mapping[str, object]) -> "Figure":
        """Read what `to_dict` wrote."""
        return cls(**{k: v for k, v in content.items() if k != "ratio"})  # type: ignore[arg-type]


def teacher_of(name: str) -> nn.Module:
    """Return a network with random weights and batch-norm statistics, channels_last, evaluating."""
    case = NETWORKS[name]
    channels, *size = case.image
    network = build_model(
        case.model, classes=10, channels=channels, image_size=(size[0], size[1]), seed=0
    )
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
    return network.to(memory_format=torch.channels_last).eval()


def settings_for(name: str, network: nn.Module) -> dict[str, LayerSetting]:
    """Return the uniform setting of a network."""
    case = NETWORKS[name]
    return uniform_settings(network_shape(network, case.image), case.five)


def student_of(name: str, teacher: nn.Module) -> nn.Module:
    """Return a student projected from a teacher."""
    student = deepcopy(teacher)
    compress(student, settings_for(name, student))
    return student


def one_batch(shape: tuple[int, int, int]) -> Images:
    """Return a set whose training part is one batch of random images."""
    generator = torch.Generator().manual_seed(2)
    pixels = torch.randint(0, 256, (BATCH, *shape), generator=generator, dtype=torch.uint8)
    labels = torch.randint(0, 10, (BATCH,), generator=generator)
    whole, none = torch.arange(BATCH), torch.arange(0)
    names = tuple("abcdefghij")
    half = torch.full((shape[0],), 0.5)
    return Images(pixels, labels, names, whole, none, none, half, half, "random")


def batches_of(name: str) -> TrainingBatches:
    """Return the one batch, augmented anew in each epoch."""
    return TrainingBatches(one_batch(NETWORKS[name].image), Augmentation(4, flips=True), CPU)


def logits_of(teacher: nn.Module, batches: TrainingBatches) -> Tensor:
    """Return a teacher's logits on the batch of epoch 1, (BATCH, 10) float32."""
    batches.start_epoch(0, 1)
    inputs = batches.inputs(torch.arange(BATCH))
    with torch.no_grad():
        logits: Tensor = teacher(inputs.contiguous(memory_format=torch.channels_last))
    return logits


def our_step(name: str, teacher: nn.Module, precision: str) -> Step:
    """Return one training step of ours."""
    spec = OptimiserSpec.model_validate(
        {
            "optimiser": "radam",
            "learning_rate": 2e-3,
            "weight_decay": 5e-4,
            "batch_size": BATCH,
            "epochs": 100,
            "precision": precision,
        }
    )
    student = student_of(name, teacher)
    optimiser = build_optimiser(student, spec)
    batches = batches_of(name)
    distillation = DistillationSpec(temperature=4.0, weight=0.9)
    targets = SoftTargets(logits_of(teacher, batches), distillation)

    penalty = Orthonormality(student)

    def loss_of(logits: Tensor, labels: Tensor, positions: Tensor) -> Tensor:
        return targets.loss(logits, labels, positions) + 1e-3 * penalty()

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


def other_step(side: str, name: str, teacher: nn.Module, precision: str) -> Step:
    """Return one training step of another side than ours."""
    is_naive = side == "naive"
    layout = torch.contiguous_format if is_naive else torch.channels_last
    is_bfloat16 = precision == "bfloat16" and not is_naive
    loss_of = dense_loss if side == "dense" else plain_loss
    network = deepcopy(teacher) if side == "dense" else plain_student(student_of(name, teacher))
    network = network.to(memory_format=layout).train()
    optimiser = torch.optim.RAdam(
        network.parameters(), lr=2e-3, weight_decay=5e-4, decoupled_weight_decay=True
    )
    batches = batches_of(name)
    known = None if side in ("teacher", "naive") else logits_of(teacher, batches)
    if known is None:
        teacher = deepcopy(teacher).to(memory_format=layout)

    def step() -> float:
        batches.start_epoch(0, 1)
        inputs = batches.inputs(torch.arange(BATCH)).contiguous(memory_format=layout)
        with torch.autocast("cpu", torch.bfloat16, enabled=is_bfloat16):
            targets = known
            if targets is None:
                with torch.no_grad():
                    targets = teacher(inputs)
            logits = network(inputs)
        loss = loss_of(network, logits.float(), targets.float(), batches.labels)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        return float(loss.detach())

    return step


def step_of(side: str, name: str, precision: str) -> Step:
    """Return one training step of a side."""
    teacher = teacher_of(name)
    if side == "ours":
        return our_step(name, teacher, precision)
    return other_step(side, name, teacher, precision)


def alternate(
    acts: Mapping[str, Callable[[], object]], repeats: int, warm_up: int = 2
) -> dict[str, float]:
    """Return the median milliseconds of things that are done by turns."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    times: dict[str, list[float]] = {side: [] for side in acts}
    for turn in range(warm_up + repeats):
        for side, act in acts.items():
            began = clock()
            act()
            if turn >= warm_up:
                times[side].append(1000 * (clock() - began))
    return {side: statistics.median(taken) for side, taken in times.items()}


def training(name: str, precision: str, threads: int, repeats: int) -> Figure:
    """Time a training step; the first losses of all students must agree."""
    steps = {side: step_of(side, name, precision) for side in SIDES}
    losses = {side: step() for side, step in steps.items()}
    for side in ("plain", "teacher", "naive"):
        assert abs(losses["ours"] - losses[side]) < 0.02 * losses[side], losses
    times = alternate(steps, repeats, warm_up=1)
    return Figure(name, "training", "ms", times, precision, threads, BATCH)


def memory(name: str, precision: str) -> Figure:
    """Measure what a training step needs, each side in a process of its own, on two threads."""
    peaks = {side: peak_memory(side, name, precision) for side in SIDES}
    return Figure(name, "memory", "MiB", peaks, precision, None, BATCH)


def inference(name: str, threads: int, repeats: int) -> Iterator[Figure]:
    """Time a packed student, read from its file, against the dense network."""
    case, dense = NETWORKS[name], teacher_of(name)
    student = student_of(name, dense)
    quantisation = QuantisationSpec(method="dorefa")
    card = PackedCard.of(case.model, 10, case.image, settings_of(student), quantisation)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "student.safetensors"
        write_packed(path, student, card)
        packed = load_packed(path)
    for batch in (1, BATCH):
        x = torch.randn(batch, *case.image, generator=torch.Generator().manual_seed(3))
        x = x.contiguous(memory_format=torch.channels_last)
        acts: dict[str, Callable[[], object]] = {
            "ours": lambda x=x: packed(x),  # type: ignore[misc]
            "dense": lambda x=x: dense(x),  # type: ignore[misc]
        }
        with torch.inference_mode():
            # As many as fill about a second, for a short pass is easily disturbed.
            once = sum(alternate(acts, 1).values())
            times = alternate(acts, max(repeats, min(301, round(1000 / once))))
        yield Figure(name, "inference", "ms", times, threads=threads, batch=batch)


def projection(name: str, threads: int) -> Figure:
    """Time projecting a whole network; medians of three, for the reference takes long."""
    teacher = teacher_of(name)
    settings = settings_for(name, teacher)
    acts: dict[str, Callable[[], object]] = {
        "ours": lambda: compress(deepcopy(teacher), settings),
        "svd": lambda: plain_projection(teacher, settings),
    }
    return Figure(name, "projection", "ms", alternate(acts, 3, warm_up=1), threads=threads)


def peak_memory(side: str, name: str, precision: str) -> float:
    """Return the MiB that three steps add to a process at most, measured in one of its own."""
    command = [sys.executable, __file__, "--peak", side, name, precision]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def print_peak(side: str, name: str, precision: str) -> None:
    """Take three steps and print by how many MiB the process grew at its largest."""
    set_up_device(CPU, 2)
    step = step_of(side, name, precision)
    release_memory(CPU)  # else steps would fill what projecting has left, uncounted
    before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here on
    for _ in range(3):
        step()
    status = Path("/proc/self/status").read_text()
    (peak,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    print(int(peak) / 1024 - before / 2**20)


def measure(arguments: argparse.Namespace) -> Iterator[Figure]:
    """Measure the rows that were asked for, one after the other."""
    for name in arguments.networks:
        if "memory" in arguments.rows:
            for precision in arguments.precisions:
                yield memory(name, precision)
        for threads in arguments.threads:
            set_up_device(CPU, threads)
            if "training" in arguments.rows:
                for precision in arguments.precisions:
                    yield training(name, precision, threads, arguments.repeats)
            if "inference" in arguments.rows:
                yield from inference(name, threads, arguments.repeats)
            if "projection" in arguments.rows:
                yield projection(name, threads)


def stored() -> list[Figure]:
    """Read the rows of `step.json`."""
    return [Figure.from_dict(content) for content in json.loads(JSON.read_text())]


def store(figure: Figure) -> None:
    """Write a row to `step.json`, in the place of its last measurement."""
    rows = {row.key: row for row in stored()} | {figure.key: figure}
    networks = list(NETWORKS)
    ordered = sorted(
        rows.values(),
        key=lambda row: (
            ROWS.index(row.row),
            networks.index(row.network),
            PRECISIONS.index(row.precision),
            row.threads or 0,
            row.batch or 0,
        ),
    )
    JSON.write_text(json.dumps([row.to_dict() for row in ordered], indent=1) + "\n")


def print_tables(figures: list[Figure]) -> None:
    """Print rows as Markdown, a table for each kind."""
    for row in ROWS:
        of_row = [figure for figure in figures if figure.row == row]
        if not of_row:
            continue
        ours, baseline, *others = of_row[0].values
        head = [f"{row}, {of_row[0].unit}", "threads", "batch", ours, baseline, "ratio", *others]
        print(f"\n| {' | '.join(head)} |\n|---|{'---|' * (len(head) - 1)}")
        for figure in of_row:
            digits = 2 if figure.values[ours] < 10 else 0
            values = {side: f"{value:,.{digits}f}" for side, value in figure.values.items()}
            cells = [
                figure.network + (f", {figure.precision}" if row in ROWS[:2] else ""),
                str(figure.threads or "-"),
                str(figure.batch or "-"),
                values[ours],
                values[baseline],
                f"**{figure.ratio:.2f}**",
                *(values[side] for side in others),
            ]
            print(f"| {' | '.join(cells)} |")


def main() -> None:
    """Measure what was asked for and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=ROWS)
    parser.add_argument("--precisions", nargs="+", default=list(PRECISIONS), choices=PRECISIONS)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--print", action="store_true", help="print step.json, measure nothing")
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        print_peak(*arguments.peak)
        return
    if arguments.print:
        print_tables(stored())
        return
    figures = []
    for figure in measure(arguments):
        store(figure)
        figures.append(figure)
        print(json.dumps(figure.to_dict()), file=sys.stderr, flush=True)
    print_tables(figures)


if __name__ == "__main__":
    main()
