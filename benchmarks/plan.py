"""Planned students beside uniform ones of the same size, under the same options.

    python benchmarks/plan.py run [--root FOLDER] [--tasks digits cifar10]
    python benchmarks/plan.py report

For every uniform setting of a list (batch-norm at 16 bits, the head at 4, which is what a planner
would choose too) one student is planned for exactly its memory by each weighting, and all are
trained alike: default recipe, same epochs, same seeds. `paper` is the same uniform setting as the
paper stores it, batch-norm at 32 bits and the head at 8: it is larger, and compared at its own
size. `report` writes `plan.json`: means over seeds on the test part, in percent, which nobody
chose by.
"""

import argparse
import json
import statistics
import sys
from functools import partial
from itertools import product
from typing import Any

from students import Line, allocator, follow, parsers, prepared, read, run_missing, train

from mlgsearch.mlg.network import network_sizes
from mlgsearch.mlg.uniform import uniform_settings

#: Of some 60 uniform settings the most accurate for their size at the small end, and larger ones.
SETTINGS = {
    "digits": (
        (2, 2, 3, 3, 3),
        (2, 4, 3, 3, 3),
        (2, 6, 3, 3, 3),
        (2, 8, 3, 3, 3),
        (2, 12, 3, 3, 3),
    ),
    "cifar10": (
        (2, 4, 3, 3, 3),
        (2, 6, 3, 3, 3),
        (2, 8, 3, 3, 3),
        (3, 8, 3, 3, 3),
        (2, 16, 3, 3, 3),
    ),
}
EPOCHS = {"digits": (3, 10), "cifar10": (2, 6)}

UNIFORM = "uniform"
PAPER = "paper"
WEIGHTINGS = ("measured", "relative", "log_energy")
ARMS = (UNIFORM, PAPER, *WEIGHTINGS)


def measure(root: str | None, line: Line) -> Line:
    """Train one student of an arm at a uniform setting or at its size."""
    task, arm = line["task"], line["arm"]
    shape = prepared(task, root).network_shape()
    settings = uniform_settings(shape, tuple(line["setting"]), head_bits=8 if arm == PAPER else 4)
    norm_bits: Any = 32 if arm == PAPER else 16
    size = network_sizes(shape, settings, norm_bits)
    ratio = size.memory_ratio
    if arm in WEIGHTINGS:
        planned = allocator(task, root, arm).allocate(size.bits)
        settings, norm_bits = planned.settings, planned.norm_bits
        ratio = planned.bits / (32 * shape.full_parameters)
    accuracy = train(
        task,
        root,
        settings,
        training={"epochs": line["epochs"]},
        quantisation={"norm_bits": norm_bits},
        seed=line["seed"],
    )
    return {"memory_ratio": round(ratio, 5), **accuracy}


def run(arguments: argparse.Namespace) -> None:
    """Train what is missing."""
    wanted = [
        {"task": task, "epochs": epochs, "setting": list(setting), "arm": arm, "seed": seed}
        for task in arguments.tasks
        for epochs, seed, setting, arm in product(
            EPOCHS[task], range(arguments.seeds), SETTINGS[task], ARMS
        )
    ]
    for task, weighting in product(arguments.tasks, WEIGHTINGS):
        allocator(task, arguments.root, weighting)
    path = arguments.folder / "plan.jsonl"
    run_missing(path, wanted, partial(measure, arguments.root), arguments.processes)


def report(arguments: argparse.Namespace) -> None:
    """Write `plan.json`, and print a table of it."""
    cells: dict[tuple[str, int, tuple[int, ...]], dict[str, list[Line]]] = {}
    for line in read(arguments.folder / "plan.jsonl"):
        cell = cells.setdefault((line["task"], line["epochs"], tuple(line["setting"])), {})
        cell.setdefault(line["arm"], []).append(line)
    figures = []
    for (task, epochs, setting), arms in sorted(cells.items()):
        row: dict[str, Any] = {"task": task, "epochs": epochs, "setting": list(setting)}
        for arm, lines in arms.items():
            tests = [100 * line["test"] for line in lines]
            row[arm] = {
                "memory_ratio": lines[0]["memory_ratio"],
                "test_percent": round(statistics.fmean(tests), 2),
                "by_seed": [round(test, 2) for test in tests],
            }
        figures.append(row)
        said = ", ".join(
            f"{arm} {row[arm]['test_percent']:.1f} at {row[arm]['memory_ratio']:.4f}"
            for arm in arms
        )
        print(f"{task} {epochs} epochs {setting}: {said}")
    (arguments.folder / "plan.json").write_text(
        json.dumps(figures, indent=1) + "\n", encoding="utf-8"
    )


def main() -> int:
    """Run or report."""
    parser, _ = parsers(__doc__, "plan-benchmark", seeds=3)
    return follow(parser, run, report)


if __name__ == "__main__":
    sys.exit(main())
