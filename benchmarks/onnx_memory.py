"""What a student takes in onnxruntime: in ORT's own format, and resident in memory.

    python benchmarks/onnx_memory.py [--networks NAME ...]

The students of ``onnx_files.py``, untrained. ORT's format is what onnxruntime loads on phones: the
graph as it is after its optimisations, weights made, saved as `onnxruntime.tools` does (without the
layout of one processor). Resident memory is that of a process of its own that imports numpy and
onnxruntime, loads a file with one thread and runs one image; the row `nothing` loads none.
``optimisations off`` makes the weights anew in each run.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import onnxruntime
import torch
from onnx_files import NETWORKS, a_student, int8_onnx

from mlgsearch.mlg.packing.packed import pack_network
from mlgsearch.train.files.dense_file import write_dense_onnx
from mlgsearch.train.files.onnx.onnx_file import compressed_onnx

_RUN = """
import sys
import numpy, onnxruntime
path, shape, level = sys.argv[1], tuple(map(int, sys.argv[2].split("x"))), sys.argv[3]
if path:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    session.run(None, {"images": numpy.zeros((1, *shape), "f")})
lines = dict(line.split(":") for line in open("/proc/self/status"))
print(int(lines["VmRSS"].split()[0]))
"""


def resident_mib(path: Path | None, shape: tuple[int, int, int], level: str) -> float:
    """Return what a process that runs one image of a file has in memory, in MiB."""
    name = "" if path is None else str(path)
    command = [sys.executable, "-c", _RUN, name, "x".join(map(str, shape)), level]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout) / 1024


def ort_file(path: Path) -> Path:
    """Write a file in ORT's own format beside it.

    It is optimised as ONNX first: straight to ORT the names of all values that were folded away
    would be kept.
    """
    folded, made = path.with_suffix(".folded.onnx"), path.with_suffix(".ort")
    _optimise(path, folded, "ONNX")
    _optimise(folded, made, "ORT")
    return made


def _optimise(path: Path, to: Path, kind: str) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(to)
    options.add_session_config_entry("session.save_model_format", kind)
    onnxruntime.InferenceSession(
        str(path),
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=["NchwcTransformer"],
    )


def measure(name: str) -> None:
    """Print the rows of one network."""
    network, card = a_student(name)
    tensors = pack_network(network, card.method)
    print(f"{name}: nothing {resident_mib(None, card.input_shape, ''):.0f} MiB", flush=True)
    with TemporaryDirectory() as folder:
        dense = Path(folder) / "dense.onnx"
        write_dense_onnx(dense, network, card)
        images = torch.randn(2, 64, *card.input_shape).unbind()
        files = {"dense": dense}
        for kind, content in (
            ("int8", int8_onnx(dense, images)),
            ("compressed", compressed_onnx(network, card, tensors).SerializeToString()),
        ):
            files[kind] = Path(folder) / f"{kind}-of-it.onnx"
            files[kind].write_bytes(content)
        for kind, path in files.items():
            resident = resident_mib(path, card.input_shape, "ORT_ENABLE_ALL")
            size, ort = path.stat().st_size, ort_file(path)
            there = resident_mib(ort, card.input_shape, "ORT_ENABLE_ALL")
            print(
                f"  {kind:30} {size:12,}  {resident:6.0f} MiB "
                f" ORT {ort.stat().st_size:12,}  {there:6.0f} MiB",
                flush=True,
            )
        resident = resident_mib(files["compressed"], card.input_shape, "ORT_DISABLE_ALL")
        print(f"  {'compressed, optimisations off':30} {resident:20.0f} MiB", flush=True)


def main() -> None:
    """Measure the networks that are asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for name in parser.parse_args().networks:
        measure(name)


if __name__ == "__main__":
    main()
