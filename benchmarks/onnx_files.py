"""What a student's ONNX file takes and how long it runs, form by form, in onnxruntime.

    python benchmarks/onnx_files.py [--networks NAME ...] [--repeats N]

Students are untrained: neither size nor time depends on what the codes are. One thread, processor
time: load once, then the least of N passes at batch 1 and at batch 64, by turns with all the
others. Rows: the dense file of torch's exporter, the same at int8 by onnxruntime's static
quantisation (QDQ, a scale per output channel, ranges from 128 images), our own packed execution in
torch, and the compressed file with every layer in one form and with the form chosen per layer.

    python benchmarks/onnx_files.py --accuracy

trains a teacher and a student of each network on digits (1 channel, 8x8), and prints the accuracy
of the test part in each file: the teacher dense and at int8, the student packed, as ONNX, and as
the C program.

    python benchmarks/onnx_files.py --agreement

needs no training: of the untrained networks it prints on how many of 64 images of noise each file
names the class that the network in torch names, and how far its logits are off.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnxruntime
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from mlgsearch.mlg.compress import compress
from mlgsearch.mlg.network import network_shape
from mlgsearch.mlg.packing.packed import pack_network
from mlgsearch.mlg.running.generation import generated_once
from mlgsearch.mlg.uniform import uniform_settings
from mlgsearch.records import FiveNumbers
from mlgsearch.train.device import memory_format
from mlgsearch.train.files.c.c_folder import c_files
from mlgsearch.train.files.c.network import CNetwork
from mlgsearch.train.files.dense_file import write_dense_onnx
from mlgsearch.train.files.onnx.form import OnnxForm
from mlgsearch.train.files.onnx.onnx_file import compressed_onnx
from mlgsearch.train.files.packed_card import PackedCard
from mlgsearch.train.files.packed_file import to_bytes
from mlgsearch.train.networks.models import build_model
from mlgsearch.train.spec import (
    DataSpec,
    ModelSpec,
    OptimiserSpec,
    QuantisationSpec,
    TeacherSpec,
    TrainSpec,
)
from mlgsearch.train.student.student import StudentTraining
from mlgsearch.train.student.trial import TrialJob
from mlgsearch.train.teacher.prepared import prepare

#: Network, channels, side of an image, five numbers; a width makes the network a digits student.
NETWORKS: dict[str, tuple[ModelSpec, int, int, FiveNumbers]] = {
    "resnet18": (ModelSpec(name="resnet18", head_bias=False), 3, 32, (2, 44, 3, 6, 3)),
    "densenet121": (ModelSpec(name="densenet121", head_bias=False), 3, 32, (1, 25, 4, 6, 6)),
    "mobilenet_v2": (ModelSpec(name="mobilenet_v2"), 3, 32, (2, 24, 4, 6, 6)),
    "digits": (ModelSpec(name="resnet8", width=8), 1, 8, (2, 6, 3, 6, 3)),
}
#: Epochs of teacher and student for the accuracy.
EPOCHS = {
    "digits": (15, 10),
    "mobilenet_v2": (10, 10),
    "resnet18": (4, 4),
    "densenet121": (2, 2),
}
FORMS: tuple[OnnxForm | None, ...] = ("dense", "level2", "depthwise", None)


def a_student(name: str) -> tuple[torch.nn.Module, PackedCard]:
    """Return an untrained student in eval mode and its card."""
    model, channels, side, five = NETWORKS[name]
    shape = (channels, side, side)
    network = build_model(model, classes=10, channels=channels, image_size=(side, side))
    found = uniform_settings(network_shape(network, shape), five)
    quantisation = QuantisationSpec(method="lsq_symmetric")
    card = PackedCard.of(model, 10, shape, found, quantisation, std=(0.25,) * channels)
    compress(network, found, method=card.method, refine_steps=0)
    return network.eval(), card


def processor_ms(run: Callable[[], object]) -> float:
    """Return the processor time of one call in milliseconds."""
    began = time.process_time()
    run()
    return 1000 * (time.process_time() - began)


def session_of(content: bytes) -> onnxruntime.InferenceSession:
    """Return a session of one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


class _Images(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """Batches of images, once through."""

    def __init__(self, batches: Sequence[torch.Tensor]) -> None:
        self._left: Iterator[torch.Tensor] = iter(batches)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next batch by the name of the input, None after the last."""
        batch = next(self._left, None)
        return None if batch is None else {"images": batch.numpy()}


def int8_onnx(dense: Path, batches: Sequence[torch.Tensor]) -> bytes:
    """Return a dense ONNX file at int8, its ranges calibrated on batches of images."""
    folded, made = dense.with_name("folded.onnx"), dense.with_name("int8.onnx")
    quant_pre_process(str(dense), str(folded), skip_symbolic_shape=True)
    quantize_static(
        str(folded),
        str(made),
        _Images(batches),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
    )
    return made.read_bytes()


def measure(name: str, repeats: int) -> None:
    """Print the rows of one network."""
    network, card = a_student(name)
    tensors = pack_network(network, card.method)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "dense.onnx"
        write_dense_onnx(path, network, card)
        contents = {"dense file": path.read_bytes()}
        contents["int8 file"] = int8_onnx(path, torch.randn(2, 64, *card.input_shape).unbind())
    for form in FORMS:
        made = compressed_onnx(network, card, tensors, form)
        contents[f"compressed, {form or 'chosen'}"] = made.SerializeToString()
    packed_bytes = len(to_bytes(network, card))
    images = {batch: torch.randn(batch, *card.input_shape) for batch in (1, 64)}
    runs: dict[tuple[str, int], Callable[[], object]] = {}
    load_s = {}
    layout = memory_format(card.input_shape)
    network.to(memory_format=layout)
    for batch, given in images.items():
        ours = given.contiguous(memory_format=layout)
        runs["packed, torch", batch] = partial(network, ours)
    for kind, content in contents.items():
        began = time.process_time()
        session = session_of(content)
        load_s[kind] = time.process_time() - began
        for batch, given in images.items():
            feed = {"images": given.numpy()}
            runs[kind, batch] = partial(session.run, None, feed)
    times: dict[tuple[str, int], float] = {}
    with torch.inference_mode(), generated_once(network):
        for _ in range(repeats + 1):  # the first one warms up
            for key, run in runs.items():
                times[key] = min(times.get(key, float("inf")), processor_ms(run))
    print(f"{name}: packed file {packed_bytes:,} bytes; onnxruntime {onnxruntime.__version__}")
    for kind in ("packed, torch", *contents):
        size = len(contents.get(kind, b"")) or packed_bytes
        load = f"{load_s[kind]:.2f} s" if kind in load_s else "-"
        print(
            f"  {kind:22} {size:12,} {size / packed_bytes:8.3f} x  load {load:>7}  "
            f"batch 1 {times[kind, 1]:8.3f} ms  batch 64 {times[kind, 64]:8.2f} ms",
            flush=True,
        )


def measure_accuracy(network_name: str) -> None:
    """Train on digits, and print the test part's accuracy of each file."""
    model, _, _, five = NETWORKS[network_name]
    teacher_epochs, epochs = EPOCHS[network_name]
    recipe = OptimiserSpec(epochs=epochs)
    spec = TrainSpec(
        data=DataSpec(validation_fraction=0.25),
        model=model,
        teacher=TeacherSpec(training=OptimiserSpec(epochs=teacher_epochs)),
        training=recipe,
    )
    print(f"{network_name}: teacher {teacher_epochs} epochs, student {epochs}", flush=True)
    with TemporaryDirectory() as name:
        folder = Path(name)
        prepared = prepare(spec, folder, epochs=recipe.epochs, device=torch.device("cpu"))
        found = uniform_settings(prepared.network_shape(), five)
        training = StudentTraining(prepared, TrialJob(found, spec))
        while not training.is_done:
            training.run_epoch()
        student, card = training.network.eval(), training.card()
        teacher = prepared.teacher.network
        path = folder / "teacher.onnx"
        plain = card.model_copy(update={"settings": ()})
        write_dense_onnx(path, teacher, plain)
        calibration = [prepared.training.inputs(torch.arange(at, at + 64)) for at in (0, 64)]
        tensors = pack_network(student, card.method)
        contents = {
            "teacher, dense": path.read_bytes(),
            "teacher, int8": int8_onnx(path, calibration),
            "student, compressed": compressed_onnx(student, card, tensors).SerializeToString(),
        }
        images = prepared.images
        scale, shift = 255 * images.std, images.mean / images.std  # (C,)
        pixels = images.pixels[images.test].float()
        inputs = pixels / scale[:, None, None] - shift[:, None, None]
        labels = images.labels[images.test]
        logits = {
            name: session_of(c).run(None, {"images": inputs.numpy()})[0]
            for name, c in contents.items()
        }
        with torch.inference_mode():
            ours = inputs.contiguous(memory_format=memory_format(card.input_shape))
            logits["student, packed"] = student(ours).numpy()
            program = CNetwork(student, card, tensors)
            program.compile(files := c_files(student, card, tensors))
            logits["student, C"] = program(ours).numpy()
        contents["student, packed"] = to_bytes(student, card)
        contents["student, C"] = b"".join(files.values())
        for kind, found_logits in logits.items():
            right = (torch.from_numpy(found_logits).argmax(1) == labels).double().mean()
            size = len(contents[kind])
            print(f"  {kind:22} {size:12,}  {right:.2%} of {len(labels)} test images", flush=True)


@torch.no_grad()
def measure_agreement(name: str) -> None:
    """Print how many classes each file of an untrained network shares with the network in torch."""
    model, channels, side, _ = NETWORKS[name]
    student, card = a_student(name)
    teacher = build_model(model, classes=10, channels=channels, image_size=(side, side)).eval()
    tensors = pack_network(student, card.method)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "dense.onnx"
        write_dense_onnx(path, teacher, card.model_copy(update={"settings": ()}))
        contents = {
            "dense": path.read_bytes(),
            "int8": int8_onnx(path, torch.randn(2, 64, *card.input_shape).unbind()),
            "compressed": compressed_onnx(student, card, tensors).SerializeToString(),
        }
    images = torch.randn(64, *card.input_shape)
    ours = images.contiguous(memory_format=memory_format(card.input_shape))
    student.to(memory_format=memory_format(card.input_shape))
    expected = {"dense": teacher(images), "compressed": student(ours)}
    expected |= {"int8": expected["dense"], "C": expected["compressed"]}
    found = {
        kind: torch.from_numpy(session_of(c).run(None, {"images": images.numpy()})[0])
        for kind, c in contents.items()
    }
    program = CNetwork(student, card, tensors)
    program.compile(c_files(student, card, tensors))
    found["C"] = program(ours)
    print(name)
    for kind, logits in found.items():
        same = int((logits.argmax(1) == expected[kind].argmax(1)).sum())
        error = (logits - expected[kind]).abs().max() / expected[kind].abs().max()
        print(f"  {kind:12} {same} of {len(logits)} classes, logits off by {error:.1e}", flush=True)


def main() -> None:
    """Measure the networks that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--accuracy", action="store_true", help="train on digits instead")
    parser.add_argument("--agreement", action="store_true", help="compare logits instead")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if arguments.accuracy:
        for name in arguments.networks:
            measure_accuracy(name)
        return
    for name in arguments.networks:
        if arguments.agreement:
            measure_agreement(name)
        else:
            measure(name, arguments.repeats)


if __name__ == "__main__":
    main()
