"""How well a table of a target's latency predicts whole students.

    python benchmarks/latency.py [--on torch|onnxruntime] [--model NAME] [--width N] [--side N]
                                 [--students N] [--seed N] [--rounds N]

The table is measured as `search.py measure` does, on one thread of this machine. Then students are
drawn: each layer gets numbers of bases of its own, by ratio, from the default ranges of a study,
and has each level with even chances. None of them is among those that the table is fitted to. All
have random weights; each runs by turns with the dense network, in processor time, and is compared
with it turn by turn, as the table's layers are: other work on the machine changes from minute to
minute. That is done in several rounds. What is measured is the table's time of the dense network
times the median of the rounds' ratios.

Prints, for each student, the predicted and the measured milliseconds; then how many predictions
are within 5 and 10 % of what was measured, the mean and the largest error, the rank correlation,
and beside them the error of always predicting the students' mean time.
"""

import argparse
import random
import sys

import numpy as np
import torch

from mlgsearch.mlg.network import NetworkShape
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.planning.layer.grid import Ranges
from mlgsearch.planning.layer.layer_table import rank_correlation
from mlgsearch.study.file.latency import LatencySpec, write_latency
from mlgsearch.study.space.latency_table import LatencyTable
from mlgsearch.study.target.measure import dense_settings, measure, slowdown
from mlgsearch.study.target.runners import runner_of
from mlgsearch.study.target.students import Students
from mlgsearch.train.networks.models import build_model
from mlgsearch.train.spec import ModelSpec, QuantisationSpec

#: Those of a study without a word.
RANGES = Ranges((1, 8), (1, 64), (2, 8), (2, 8), (2, 8))


def drawn(shape: NetworkShape, draw: random.Random) -> dict[str, LayerSetting]:
    """Return a random setting of every layer."""
    settings = {}
    for name, layer in shape.layers.items():
        bases = []
        for span, bound in (
            (RANGES.base_in, layer.level1_bound),
            (RANGES.base_out, layer.level2_bound),
        ):
            high = min(span[1], bound - 1)
            is_there = high >= span[0] and draw.random() < 0.5
            bases.append(round(span[0] * (high / span[0]) ** draw.random()) if is_there else 0)
        bits = [8, *(4 if base else 0 for base in bases)]
        settings[name] = LayerSetting(bases[0], bases[1], *bits).canonical(layer)
    return settings


def progress(stage: str, done: int, total: int, note: str) -> None:
    """Say how far the table is."""
    if done % 10 == 0:
        print(f"{stage}: {done}/{total} {note}", file=sys.stderr, flush=True)


def main() -> None:
    """Measure the table and the students, and print how they compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--on", choices=("torch", "onnxruntime"), default="torch")
    parser.add_argument("--model", default="resnet8")
    parser.add_argument("--width", type=int, default=96)
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--side", type=int, default=8)
    parser.add_argument("--students", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    spec = ModelSpec(name=given.model, width=given.width)
    input_shape = (given.channels, given.side, given.side)
    network = build_model(
        spec, classes=10, channels=given.channels, image_size=(given.side, given.side)
    )
    students = Students(spec, network, 10, input_shape, QuantisationSpec())
    runner = runner_of(given.on, students)
    found = measure(students.shape, RANGES, {}, runner, progress)
    written = "".join(write_latency(found.rows))
    table = LatencyTable(LatencySpec(file="", table=written), students.shape)
    draw = random.Random(given.seed)
    settings = [drawn(students.shape, draw) for _ in range(given.students)]
    predicted = np.array([table.network_ms(each) for each in settings])
    dense = runner.prepare(dense_settings(students.shape, {}))
    ratios = np.array(
        [
            [slowdown(dense, runner.prepare(each)).ratio for each in settings]
            for _ in range(given.rounds)
        ]
    )
    measured = found.dense_ms * np.median(ratios, 0)
    spread = np.std(ratios / ratios.mean(0), ddof=1) if given.rounds > 1 else float("nan")
    for first, second in zip(predicted, measured, strict=True):
        print(f"{first:8.3f} {second:8.3f} {first / second - 1:+7.1%}")
    error = np.abs(predicted / measured - 1)
    constant = np.abs(measured.mean() / measured - 1)
    print(
        f"{given.model}, width {given.width}, {given.on}: dense {found.dense_ms:.3f} ms, "
        f"{len(found.rows)} rows; one round deviates by {spread:.1%}; "
        f"of {len(error)} students {(error < 0.05).sum()} within 5 %, "
        f"{(error < 0.1).sum()} within 10 %; error {error.mean():.1%} in the mean, "
        f"{error.max():.1%} at most; rank correlation "
        f"{rank_correlation(predicted.tolist(), measured.tolist()):.3f}; their mean time as "
        f"prediction: {(constant < 0.1).sum()} within 10 %, error {constant.mean():.1%}"
    )


if __name__ == "__main__":
    main()
