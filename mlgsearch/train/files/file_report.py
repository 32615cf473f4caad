"""What a packed file is worth, measured again: accuracy, loss, size, latency."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from mlgsearch.errors import DataError
from mlgsearch.mlg.compress import densify
from mlgsearch.train.data.images import Images
from mlgsearch.train.data.load import load_images
from mlgsearch.train.device import memory_format
from mlgsearch.train.files.c.network import CFigures, open_c
from mlgsearch.train.files.coded_file import MAGIC, is_coded
from mlgsearch.train.files.latency import Latency, compare_latency
from mlgsearch.train.files.onnx.network import open_onnx
from mlgsearch.train.files.packed_card import PackedCard
from mlgsearch.train.files.packed_file import build_packed, packed_bytes, read_packed
from mlgsearch.train.loop.evaluation import HeldOutPart
from mlgsearch.train.spec import DataSpec

Part = Literal["validation", "test"]


@dataclass(frozen=True)
class FileReport:
    """A packed file, a compressed ONNX file or a C program, measured.

    ``accuracy`` is a fraction of ``samples``, or balanced where the data are judged so (``judge``),
    ``loss`` the mean cross-entropy in nats; those of an ONNX file are onnxruntime's, those of a C
    program its own. ``packed_bytes`` is the packed file's size, ``onnx_bytes`` that of the ONNX
    file where it is one, ``coded_bytes`` that of the coded file where it is one, ``dense_bytes``
    that of the plain network's parameters and buffers. ``c`` are a C program's own figures.
    """

    card: PackedCard
    part: Part
    samples: int
    accuracy: float
    loss: float
    packed_bytes: int
    dense_bytes: int
    latency: Sequence[Latency]
    onnx_bytes: int | None = None
    coded_bytes: int | None = None
    judge: str = "accuracy"
    c: CFigures | None = None


def file_report(
    path: Path,
    data: DataSpec,
    part: Part,
    cache: Path,
    *,
    build: Callable[..., object] | None = None,
) -> FileReport:
    """Measure a packed file, a compressed ONNX file or a C program's folder, on the CPU.

    Images are normalised as the file says. Data that name no ``image_size`` are brought to the
    network's own, where that is square.

    Raises:
        DataError: the file cannot be loaded, the data are missing, or they are not what the network
            takes.
        UserError: it is an ONNX file or a folder, and onnx, onnxruntime or a C compiler is not
            installed.
    """
    program = open_c(path, build=build) if path.is_dir() else None
    onnx = open_onnx(path) if program is None and path.suffix == ".onnx" else None
    other = program or onnx
    card, tensors = read_packed(path) if other is None else (other.card, other.tensors)
    network = build_packed(path, card, tensors, build=build) if program is None else program.packed
    height, width = card.image_size
    if data.image_size is None and height == width >= 4 and height <= 1024:
        data = data.model_copy(update={"image_size": height})
    images = load_images(data, cache)
    _require_fit(path, card, images, data.name)
    images = replace(images, mean=torch.tensor(card.mean), std=torch.tensor(card.std))
    index = images.validation if part == "validation" else images.test
    held_out = HeldOutPart(images, index, torch.device("cpu"))
    measured = network if other is None else other
    loss, accuracy = held_out.evaluate(measured, memory_format(card.input_shape))
    dense = densify(network, keeps_input_quantisers=False).to(
        memory_format=memory_format(card.input_shape)
    )
    return FileReport(
        card=card,
        part=part,
        samples=len(index),
        accuracy=accuracy,
        loss=loss,
        packed_bytes=len(packed_bytes(card, tensors)),
        onnx_bytes=None if onnx is None else path.stat().st_size,
        coded_bytes=_coded_bytes(path) if program is None else None,
        dense_bytes=sum(t.numel() * t.element_size() for t in dense.state_dict().values()),
        latency=compare_latency(network, dense, card.input_shape, onnx=onnx),
        judge=images.judge,
        c=None if program is None else program.figures(),
    )


def _coded_bytes(path: Path) -> int | None:
    with path.open("rb") as file:
        return path.stat().st_size if is_coded(file.read(len(MAGIC))) else None


def _require_fit(path: Path, card: PackedCard, images: Images, name: str) -> None:
    wanted, found = (*card.input_shape, card.classes), (*images.input_shape, images.classes)
    if wanted != found:
        raise DataError(
            f"{path}: it takes images of {card.channels}x{card.image_size[0]}x{card.image_size[1]} "
            f"in {card.classes} classes, {name} has {'x'.join(map(str, images.input_shape))} in "
            f"{images.classes}"
        )
