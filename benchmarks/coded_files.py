"""What entropy coding takes off a packed file: `export --coded`.

    python benchmarks/coded_files.py

Digits students are trained as in a study (teacher 15 epochs, student 10), the first at the smallest
setting. ResNet-18 is at the paper's (2, 44, 3, 6, 3), its weights untrained and its batch-norm
drawn, for as they are initialised its numbers are all alike. Bytes: what the paper counts, the
packed file, the coded file, and the coded file against the packed one with batch-norm at 32 bits.
Batch-norm at 8 bits is that of the student at 32 bits, rounded for the file; of it the accuracy is
measured beside the student's own, on all images that did not train it.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from onnx_files import NETWORKS
from torch import nn

from mlgsearch.mlg.compress import compress
from mlgsearch.mlg.half_norm import NormBits
from mlgsearch.mlg.network import NetworkShape, network_shape, network_sizes
from mlgsearch.mlg.uniform import uniform_settings
from mlgsearch.records import FiveNumbers
from mlgsearch.train.files.coded_file import write_coded
from mlgsearch.train.files.packed_card import PackedCard
from mlgsearch.train.files.packed_file import load_packed, packed_bytes, read_packed, to_bytes
from mlgsearch.train.files.student_file import at_norm_bits
from mlgsearch.train.loop.evaluation import HeldOutPart
from mlgsearch.train.networks.models import build_model
from mlgsearch.train.spec import (
    ModelSpec,
    OptimiserSpec,
    QuantisationSpec,
    TeacherSpec,
    TrainSpec,
)
from mlgsearch.train.student.student import StudentTraining
from mlgsearch.train.student.trial import TrialJob
from mlgsearch.train.teacher.prepared import prepare

#: Width and five numbers of the digits students.
DIGITS: tuple[tuple[int, FiveNumbers], ...] = ((4, (1, 2, 2, 2, 2)), (8, (2, 6, 3, 6, 3)))
_WIDTHS: tuple[NormBits, ...] = (32, 16)


@dataclass(frozen=True)
class Made:
    """A student, its card, its shape and, where it is trained, images that did not train it."""

    network: nn.Module
    card: PackedCard
    shape: NetworkShape
    held_out: HeldOutPart | None = None


def trained_digits(width: int, five: FiveNumbers, norm_bits: NormBits, folder: Path) -> Made:
    """Return a trained student."""
    spec = TrainSpec(
        model=ModelSpec(width=width),
        teacher=TeacherSpec(training=OptimiserSpec(epochs=15)),
        training=OptimiserSpec(epochs=10),
        quantisation=QuantisationSpec(norm_bits=norm_bits),
    )
    prepared = prepare(spec, folder, epochs=10, device=torch.device("cpu"))
    shape = prepared.network_shape()
    found = uniform_settings(shape, five)
    training = StudentTraining(prepared, TrialJob(found, spec))
    while not training.is_done:
        training.run_epoch()
    images = prepared.images
    unseen = torch.cat([images.validation, images.test])
    held_out = HeldOutPart(images, unseen, torch.device("cpu"))
    return Made(training.network.eval(), training.card(), shape, held_out)


def drawn_resnet18(norm_bits: NormBits) -> Made:
    """Return an untrained student whose batch-norms look as after a training."""
    model, channels, side, five = NETWORKS["resnet18"]
    network = build_model(model, classes=10, channels=channels, image_size=(side, side))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(std=0.3)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(std=0.2)
    image = (channels, side, side)
    shape = network_shape(network, image)
    found = uniform_settings(shape, five)
    quantisation = QuantisationSpec(method="lsq_symmetric", norm_bits=norm_bits)
    card = PackedCard.of(model, 10, image, found, quantisation, std=(0.25,) * channels)
    compress(network, found, method=card.method, refine_steps=0, norm_bits=norm_bits)
    return Made(network.eval(), card, shape)


def report(name: str, students: list[Made], folder: Path) -> None:
    """Print a row of docs/packed.md for each student; the first has batch-norm at 32 bits."""
    first = 0
    rounded = replace(students[0], card=at_norm_bits(students[0].card, "packed", 8))
    for made in (*students, rounded):
        path, card = folder / "student.mlg", made.card
        coded = write_coded(path, made.network, card)
        packed = to_bytes(made.network, card)
        assert packed_bytes(*read_packed(path)) == packed, "not the same tensors"
        five = dict(zip(made.shape.layers, card.settings, strict=True))
        bits = network_sizes(made.shape, five, card.norm_bits).bits
        if made.held_out is not None:
            _, accuracy = made.held_out.evaluate(load_packed(path))
            print(f"  accuracy {accuracy:.2%}", end=" ")
        first = first or len(packed)
        print(
            f"| {name}, batch-norm at {card.norm_bits} bits | {bits / 8:,.0f} | {len(packed):,} | "
            f"{coded:,} | {1 - coded / first:.1%} | {8 * coded / bits:.2f} |",
            flush=True,
        )


def main() -> None:
    """Measure all."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with TemporaryDirectory() as name:
        folder = Path(name)
        for width, five in DIGITS:
            students = [trained_digits(width, five, bits, folder) for bits in _WIDTHS]
            report(f"digits, width {width} at {five}", students, folder)
        report("ResNet-18", [drawn_resnet18(bits) for bits in _WIDTHS], folder)


if __name__ == "__main__":
    main()
