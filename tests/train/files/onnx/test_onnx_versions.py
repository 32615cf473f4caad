"""A compressed ONNX file in several versions of onnxruntime, each in an environment of its own.

The installed version is always tried. ``MLGSEARCH_ONNXRUNTIMES`` names a folder for further ones:
each is installed there once, with pip, and found there the next time.
"""

import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch

from mlgsearch.mlg.packing.packed import pack_network
from mlgsearch.train.files.onnx.onnx_file import compressed_onnx
from tests.train.files.onnx.test_onnx_file import NETWORKS, a_student

INSTALLED = version("onnxruntime")
FOLDER = os.environ.get("MLGSEARCH_ONNXRUNTIMES", "")
#: The first that runs the files, and two between it and the pinned one.
EARLIER = ("1.20.1", "1.22.1", "1.24.4")

RUN = """
import json, sys
import numpy as np, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
if sys.argv[3] == "as written":
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
session = onnxruntime.InferenceSession(
    sys.argv[1], options, providers=["CPUExecutionProvider"]
)
(logits,) = session.run(["logits"], {"images": np.load(sys.argv[2])})
print(json.dumps([onnxruntime.__version__, logits.tolist()]))
"""


def environment(wanted: str) -> dict[str, str]:
    """Return the environment variables of a process that imports that version, made at need."""
    if wanted == INSTALLED:
        return dict(os.environ)
    folder = Path(FOLDER) / f"onnxruntime-{wanted}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as made:
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
            subprocess.run([*pip, f"{made}/new", f"onnxruntime=={wanted}"], check=True)
            Path(made, "new").rename(folder)
    return {**os.environ, "PYTHONPATH": str(folder)}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, np.ndarray]:
    """A file with every kind of layer, some images, and the student's logits of them."""
    folder = tmp_path_factory.mktemp("onnx")
    torch.manual_seed(0)
    network, card = a_student(NETWORKS["mixed"](), (3, 16, 16))
    made = compressed_onnx(network, card, pack_network(network, card.method))
    (folder / "a.onnx").write_bytes(made.SerializeToString())
    images = torch.randn(3, 3, 16, 16)
    np.save(folder / "images.npy", images.numpy())
    with torch.no_grad():
        return folder / "a.onnx", folder / "images.npy", network(images).numpy()


@pytest.mark.parametrize("optimisation", ["optimised", "as written"])
@pytest.mark.parametrize("wanted", [INSTALLED, *(EARLIER if FOLDER else ())])
def test_a_version_gives_the_students_logits(
    written: tuple[Path, Path, np.ndarray], wanted: str, optimisation: str
) -> None:
    model, images, expected = written
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(model), str(images), optimisation],
        env=environment(wanted),
        capture_output=True,
        text=True,
        check=True,
    )
    found, logits = json.loads(done.stdout)
    assert found == wanted
    assert np.abs(np.array(logits) - expected).max() < 1e-4 * max(1.0, np.abs(expected).max())
