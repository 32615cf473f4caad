"""Measure training steps on a set that is larger than the memory allowed: large_set.py --help.

    python benchmarks/large_set.py                 # both arms, printed

Each arm is a process in a memory control group of its own (root is needed). Both train the same
batches, drawn at random from a set of pixels on this disk. One group may hold the whole set, which
was read before; the other a quarter of it beside what the process takes without it, and none of it
is in memory when its first batch is asked for. Arms take turns.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mlgsearch.train.data.augmentation import Augmentation
from mlgsearch.train.data.batches import TrainingBatches
from mlgsearch.train.data.images import Images
from mlgsearch.train.loop.epoch import train_epoch
from mlgsearch.train.loop.optim import build_optimiser
from mlgsearch.train.networks.models import build_model
from mlgsearch.train.spec import ModelSpec, OptimiserSpec
from mlgsearch.train.tensor_file import read_tensors
from mlgsearch.train.tensor_writer import TensorWriter

#: Control groups of version 1 and of version 2: folder, limit.
_MOUNTS = (
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
    (Path("/sys/fs/cgroup"), "memory.max"),
)
#: What an arm's process takes besides pixels: libraries, network, batches.
_PROCESS_BYTES = 600 * 2**20


def make_set(path: Path, count: int, side: int) -> None:
    """Write random pixels, (count, 3, side, side)."""
    generator = np.random.default_rng(0)
    with TensorWriter(path, "pixels", (count, 3, side, side), "uint8") as writer:
        for start in range(0, count, 1024):
            rows = writer.array[start : start + 1024]
            rows[:] = generator.integers(0, 256, rows.shape, dtype=np.uint8)
        writer.commit({})


def arm(path: Path, model: str, batch: int, steps: int, *, is_warm: bool) -> None:
    """Train an epoch on the set, and print seconds per step and what was held."""
    torch.set_num_threads(1)
    tensors, _ = read_tensors(path, verifies=False)
    pixels = tensors["pixels"]
    count, channels, *side = pixels.shape
    half = torch.full((channels,), 0.5)
    every, none = torch.arange(count), torch.arange(0)
    labels = every % 10
    images = Images(pixels, labels, tuple("abcdefghij"), every, none, none, half, half, "random")
    batches = TrainingBatches(images, Augmentation(4, flips=True), torch.device("cpu"))
    network = build_model(
        ModelSpec(name=model), classes=10, channels=channels, image_size=(side[0], side[1])
    )
    spec = OptimiserSpec(epochs=1, batch_size=batch)
    clock = Clock(batches, steps)
    if is_warm:
        for rows in torch.split(pixels, 1024):
            rows.max()
    with contextlib.suppress(EnoughError):
        train_epoch(
            network,
            build_optimiser(network, spec),
            clock,  # type: ignore[arg-type]
            spec,
            lambda logits, labels, positions: functional.cross_entropy(logits, labels),
            seed=0,
            epoch=1,
            memory_format=torch.channels_last,
        )
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(
        json.dumps(
            {
                "step_s": statistics.median(clock.steps),
                "mean_step_s": statistics.mean(clock.steps),
                "input_s": statistics.mean(clock.inputs_s),
                "anonymous": int(status["RssAnon"].split()[0]) * 1024,
            }
        )
    )


class EnoughError(Exception):
    """So many steps were taken."""


class Clock:
    """Batches that note when they are asked for, and how long they took to come."""

    def __init__(self, batches: TrainingBatches, most: int) -> None:
        self._batches = batches
        self._most = most
        self._last: float | None = None
        self.steps: list[float] = []
        self.inputs_s: list[float] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._batches, name)

    def inputs(self, positions: Tensor) -> Tensor:
        """Return a batch; note the time since the last one, and what this one takes."""
        began = time.perf_counter()
        if self._last is not None:
            self.steps.append(began - self._last)
        if len(self.steps) == self._most:
            raise EnoughError
        self._last = began
        found = self._batches.inputs(positions)
        self.inputs_s.append(time.perf_counter() - began)
        return found


def run_arm(limit: int, arguments: list[str]) -> dict[str, float]:
    """Run an arm in a new control group with a limit of memory."""
    mount, name = next(
        (mount, name) for mount, name in _MOUNTS if (mount / "cgroup.procs").exists()
    )
    group = mount / f"mlgsearch-{os.getpid()}"
    group.mkdir()
    command = [sys.executable, __file__, *arguments]
    try:
        (group / name).write_text(str(limit))
        Path("/proc/sys/vm/drop_caches").write_text("1")
        joined = f'echo $$ > {group}/cgroup.procs && exec "$@"'
        done = subprocess.run(
            ["sh", "-c", joined, "sh", *command], check=True, capture_output=True, text=True
        )
    finally:
        group.rmdir()
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Run both arms by turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arm", type=Path)
    parser.add_argument("--warm", action="store_true")
    parser.add_argument("--folder", type=Path, default=Path("benchmark-large-set"))
    parser.add_argument("--model", default="resnet8")
    parser.add_argument("--count", type=int, default=80_000)
    parser.add_argument("--side", type=int, default=96)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.arm is not None:
        arm(options.arm, options.model, options.batch, options.steps, is_warm=options.warm)
        return
    path = options.folder / f"{options.count}x{options.side}.safetensors"
    if not path.exists():
        make_set(path, options.count, options.side)
    held = options.count * 3 * options.side**2
    limits = {"fits": 3 * held + _PROCESS_BYTES, "a quarter": held // 4 + _PROCESS_BYTES}
    common = [f"--{name}={getattr(options, name)}" for name in ("model", "batch", "steps")]
    found: dict[str, list[dict[str, float]]] = {name: [] for name in limits}
    for _ in range(options.rounds):
        for name, limit in limits.items():
            warm = ["--warm"] if name == "fits" else []
            found[name].append(run_arm(limit, ["--arm", str(path), *common, *warm]))
    print(f"{options.model}, {options.count} images of {options.side} px, {held / 1e9:.2f} GB")
    for name, runs in found.items():
        figures = {
            key: statistics.median(run[key] for run in runs)
            for key in ("step_s", "mean_step_s", "input_s", "anonymous")
        }
        print(
            f"{name}: limit {limits[name] / 1e9:.2f} GB; a step {figures['step_s'] * 1e3:.1f} ms "
            f"(median), {figures['mean_step_s'] * 1e3:.1f} ms (mean), of that its batch "
            f"{figures['input_s'] * 1e3:.2f} ms; anonymous memory {figures['anonymous'] / 1e6:.0f} "
            "MB"
        )


if __name__ == "__main__":
    main()
