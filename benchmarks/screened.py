"""Rank students before they are trained, and measure what choosing one of several would gain.

    python benchmarks/screened.py run [--root FOLDER] [--tasks digits cifar10] [--seeds N]
    python benchmarks/screened.py report

At each of some budgets one student is planned, and others have the same budget bent by gains that
are drawn from -BOUND to BOUND. Of every one two numbers are known before training: its predicted
damage without gains (what the plan minimises), and the divergence of the *projected* student's
answers from the teacher's, in nats at distillation's temperature, on the plan's 256 images with
batch-norm estimated anew. Then all are trained alike (`students.py`).

`report` writes `screened.json`: Spearman's correlation of both numbers with the accuracy on the
test part, and the mean accuracy of the plan, of a random one, and of the one that a rule picks of
K random ones: least divergence, least sum of the two ranks. All means are over every group of K
that can be drawn, by resampling. Nothing is chosen by the test part.
"""

import argparse
import json
import random
import statistics
import sys
from functools import cache, partial
from itertools import product
from typing import Any

import torch
from scipy.stats import rankdata, spearmanr
from students import Line, allocator, follow, parsers, prepared, read, run_missing, study, train

from mlgsearch.mlg.compress import compress
from mlgsearch.mlg.running.generation import generated_once
from mlgsearch.planning.answers import ANSWERS
from mlgsearch.planning.budget.allocation import Allocation
from mlgsearch.study.space.layer_tables import calibration
from mlgsearch.train.device import memory_format
from mlgsearch.train.loop.batch_norm import reestimate_on
from mlgsearch.train.teacher.teacher import build_network

#: Memory ratios, and epochs of a training.
RATIOS = {"digits": (0.0126, 0.0145, 0.017, 0.020), "cifar10": (0.010, 0.014, 0.020)}
EPOCHS = {"digits": 6, "cifar10": 2}
BOUND = 1.0
#: Students at each budget; number 0 is the plan's.
COUNT = 25
#: Of how many a rule picks one, and how often groups are drawn.
K = 8
DRAWS = 4000


@cache
def allocation(task: str, root: str | None, ratio: float, number: int) -> Allocation:
    """Return the student of a number at a budget."""
    plans = allocator(task, root)
    bits = int(ratio * 32 * plans.tables.shape.full_parameters)
    if number == 0:
        return plans.allocate(bits)
    draw = random.Random(f"{task} {ratio} {number}")
    return plans.allocate(bits, {name: draw.uniform(-BOUND, BOUND) for name in plans.tables.layers})


@torch.no_grad()
def divergence(task: str, root: str | None, chosen: Allocation) -> float:
    """Return how far the projected student's answers are from the teacher's, a mean over images."""
    shared, spec = prepared(task, root), study(task, root)
    network = build_network(spec.model, shared.images)
    network.load_state_dict(shared.teacher.network.state_dict())
    quantisation = spec.quantisation
    compress(
        network,
        chosen.settings,
        method=quantisation.method,
        refine_steps=quantisation.refine_steps,
        norm_bits=chosen.norm_bits,
    )
    layout = memory_format(shared.images.input_shape)
    network = network.to(memory_format=layout)
    reestimate_on(
        network, shared.training, spec.training.batch_size, seed=spec.seed, memory_format=layout
    )
    teacher = shared.teacher.network.eval()
    kind = ANSWERS["classes"]
    total = images = 0.0
    with generated_once(network.eval()):
        for batch in calibration(shared):
            total += kind.distance(network(batch), kind.reference(teacher(batch)))
            images += len(batch)
    return total / images


def measure(root: str | None, line: Line) -> Line:
    """Train one student, and say what was known of it before."""
    task = line["task"]
    chosen = allocation(task, root, line["ratio"], line["number"])
    before = divergence(task, root, chosen)
    accuracy = train(
        task,
        root,
        chosen.settings,
        training={"epochs": EPOCHS[task]},
        quantisation={"norm_bits": chosen.norm_bits},
        seed=line["seed"],
    )
    return {"damage": round(chosen.damage, 6), "divergence": round(before, 5), **accuracy}


def run(arguments: argparse.Namespace) -> None:
    """Train what is missing."""
    wanted = [
        {"task": task, "ratio": ratio, "number": number, "seed": seed}
        for task in arguments.tasks
        for seed, ratio, number in product(range(arguments.seeds), RATIOS[task], range(COUNT))
    ]
    for task in arguments.tasks:
        allocator(task, arguments.root)
    path = arguments.folder / "screened.jsonl"
    run_missing(path, wanted, partial(measure, arguments.root), arguments.processes)


def report(arguments: argparse.Namespace) -> None:
    """Write `screened.json`, and print its rows."""
    cells: dict[tuple[str, float], dict[int, list[Line]]] = {}
    for line in read(arguments.folder / "screened.jsonl"):
        cell = cells.setdefault((line["task"], line["ratio"]), {})
        cell.setdefault(line["number"], []).append(line)
    figures = []
    for (task, ratio), students in sorted(cells.items()):
        plan, others = students.pop(0), list(students.values())
        tests = [100 * statistics.fmean(line["test"] for line in lines) for lines in others]
        known = {name: [lines[0][name] for lines in others] for name in ("damage", "divergence")}
        known["both"] = list(sum(rankdata(values) for values in known.values()))
        draw = random.Random(0)
        groups = [draw.sample(range(len(others)), K) for _ in range(DRAWS)]
        row: dict[str, Any] = {
            "task": task,
            "ratio": ratio,
            "students": len(others),
            "seeds": len(plan),
            "plan": round(100 * statistics.fmean(line["test"] for line in plan), 2),
            "random": round(statistics.fmean(tests), 2),
            "deviation": round(statistics.stdev(tests), 2),
        }
        for name, values in known.items():
            row[f"spearman_{name}"] = round(float(spearmanr(values, tests).statistic), 2)
            picks = [min(group, key=values.__getitem__) for group in groups]
            row[f"least_{name}"] = round(statistics.fmean(tests[pick] for pick in picks), 2)
        figures.append(row)
        print(json.dumps(row))
    text = json.dumps(figures, indent=1) + "\n"
    (arguments.folder / "screened.json").write_text(text, encoding="utf-8")


def main() -> int:
    """Run or report."""
    parser, _ = parsers(__doc__, "screened-benchmark", seeds=2)
    return follow(parser, run, report)


if __name__ == "__main__":
    sys.exit(main())
