"""The layer tables of ResNet-18 and DenseNet-121: what a plan costs before anything is trained.

    python benchmarks/tables.py [--only NAME ...] [--threads 2]

Networks have a CIFAR stem, ten classes and random weights; images are random, 256 of them, as many
as a study takes. Ranges, refinement and the settings that are checked are a study's defaults. It
prints a JSON object a network and puts it into `benchmarks/tables.json`: seconds of the wall and
of the processor for the moments and for the layers, layers, settings kept, mean rank correlation of
predicted with projected damage, the machine's load before (mean over a minute) and the threads.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from mlgsearch.mlg.network import network_shape
from mlgsearch.planning.layer.grid import Ranges, Span
from mlgsearch.planning.network_tables import Tables, build_tables
from mlgsearch.planning.weighting import MEASURED
from mlgsearch.study.file.space_spec import SpaceSpec
from mlgsearch.study.space.layer_tables import CALIBRATION_IMAGES, CHECKED
from mlgsearch.train.device import memory_format, set_up_device
from mlgsearch.train.networks.models import build_model
from mlgsearch.train.spec import ModelSpec, QuantisationSpec

NETWORKS = ("resnet18", "densenet121")
INPUT = (3, 32, 32)


@dataclass
class Clock:
    """Splits the time of a build into its two phases; implements ``Report``."""

    began: tuple[float, float] = (0.0, 0.0)
    moments: tuple[float, float] = (0.0, 0.0)

    def __call__(self, done: int, total: int, note: str) -> None:
        """Note when the last calibration batch is through."""
        if note == "calibration" and done == total:
            self.moments = self.passed()

    def start(self) -> None:
        """Begin to count."""
        self.began = time.perf_counter(), time.process_time()

    def passed(self) -> tuple[float, float]:
        """Return the seconds since the start, of the wall and of the processor."""
        return time.perf_counter() - self.began[0], time.process_time() - self.began[1]


def span(of: Sequence[int]) -> Span:
    """Return a study's lowest and highest number of something."""
    low, high = of
    return low, high


def build(name: str, clock: Clock) -> Tables:
    """Make a network's tables."""
    network = build_model(
        ModelSpec(name=name), classes=10, channels=3, image_size=INPUT[1:], seed=0
    )
    draw = torch.Generator().manual_seed(0)
    images = torch.randn(CALIBRATION_IMAGES, *INPUT, generator=draw)
    images = images.contiguous(memory_format=memory_format(INPUT))
    space, quantisation = SpaceSpec(), QuantisationSpec()
    clock.start()
    return build_tables(
        network,
        network_shape(network, INPUT),
        list(torch.split(images, 64)),
        Ranges(
            span(space.B_in),
            span(space.B_out),
            span(space.q_basis),
            span(space.q_coeff_in),
            span(space.q_coeff_out),
        ),
        fixed={},
        method=quantisation.method,
        refine_steps=quantisation.refine_steps,
        check=CHECKED,
        seed=0,
        report=clock,
        measures=space.weighting == MEASURED,
    )


def figures(name: str, threads: int) -> dict[str, object]:
    """Measure one network."""
    load = os.getloadavg()[0]
    clock = Clock()
    tables = build(name, clock)
    whole = clock.passed()
    ranked = [t.rank_correlation for t in tables.layers.values() if t.rank_correlation is not None]
    return {
        "network": name,
        "wall_s": round(whole[0], 1),
        "cpu_s": round(whole[1], 1),
        "moments_wall_s": round(clock.moments[0], 1),
        "moments_cpu_s": round(clock.moments[1], 1),
        "layers_wall_s": round(whole[0] - clock.moments[0], 1),
        "layers_cpu_s": round(whole[1] - clock.moments[1], 1),
        "layers": len(tables.layers),
        "settings": sum(len(table) for table in tables.layers.values()),
        "rank_correlation": round(statistics.mean(ranked), 3),
        "threads": threads,
        "load": round(load, 1),
    }


def main() -> None:
    """Measure and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    set_up_device(torch.device("cpu"), arguments.threads)
    path = Path(__file__).with_name("tables.json")
    found = {row["network"]: row for row in json.loads(path.read_text())}
    for name in arguments.only:
        found[name] = figures(name, arguments.threads)
        print(json.dumps(found[name]), flush=True)
    path.write_text(json.dumps(list(found.values()), indent=1) + "\n")


if __name__ == "__main__":
    main()
