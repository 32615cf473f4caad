"""What a student's ONNX file takes and how long it runs, form by form, in onnxruntime.

    python benchmarks/onnx_files.py [--networks NAME ...] [--repeats N]

Students are untrained: neither size nor time depends on what the codes are. One thread, processor
time: load once, then the least of N passes at batch 1 and at batch 64, by turns with all the
others. Rows: the dense file of torch's exporter, our own packed execution in torch, and the
compressed file with every layer in one form and with the form chosen per layer.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import onnxruntime
import torch

from mlgsearch.mlg.compress import compress
from mlgsearch.mlg.generation import generated_once
from mlgsearch.mlg.network import network_shape
from mlgsearch.mlg.packed import pack_network
from mlgsearch.mlg.uniform import uniform_settings
from mlgsearch.records import FiveNumbers
from mlgsearch.train.device import memory_format
from mlgsearch.train.files.dense_file import write_dense_onnx
from mlgsearch.train.files.onnx_file import compressed_onnx
from mlgsearch.train.files.onnx_form import OnnxForm
from mlgsearch.train.files.packed_card import PackedCard
from mlgsearch.train.files.packed_file import to_bytes
from mlgsearch.train.networks.models import build_model
from mlgsearch.train.spec import ModelSpec

#: Network, channels, side of an image, five numbers; a width makes the network a digits student.
NETWORKS: dict[str, tuple[ModelSpec, int, int, FiveNumbers]] = {
    "resnet18": (ModelSpec(name="resnet18", head_bias=False), 3, 32, (2, 44, 3, 6, 3)),
    "densenet121": (ModelSpec(name="densenet121", head_bias=False), 3, 32, (1, 25, 4, 6, 6)),
    "mobilenet_v2": (ModelSpec(name="mobilenet_v2"), 3, 32, (2, 24, 4, 6, 6)),
    "digits": (ModelSpec(name="resnet8", width=8), 1, 8, (2, 6, 3, 6, 3)),
}
FORMS: tuple[OnnxForm | None, ...] = ("dense", "level2", "depthwise", None)


def a_student(name: str) -> tuple[torch.nn.Module, PackedCard]:
    """Return an untrained student in eval mode and its card."""
    model, channels, side, five = NETWORKS[name]
    shape = (channels, side, side)
    network = build_model(model, classes=10, channels=channels, image_size=(side, side))
    found = uniform_settings(network_shape(network, shape), five)
    card = PackedCard(
        model=model,
        classes=10,
        channels=channels,
        image_size=(side, side),
        method="lsq_symmetric",
        settings=tuple(found.values()),
        mean=(0.5,) * channels,
        std=(0.25,) * channels,
    )
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


def measure(name: str, repeats: int) -> None:
    """Print the rows of one network."""
    network, card = a_student(name)
    tensors = pack_network(network, card.method)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "dense.onnx"
        write_dense_onnx(path, network, card)
        contents = {"dense file": path.read_bytes()}
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


def main() -> None:
    """Measure the networks that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--repeats", type=int, default=10)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for name in arguments.networks:
        measure(name, arguments.repeats)


if __name__ == "__main__":
    main()
