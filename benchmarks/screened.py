"""Rank students before they are trained, and measure what choosing one of several would gain.

    python benchmarks/screened.py run [--root FOLDER] [--tasks digits cifar10] [--seeds N]
    python benchmarks/screened.py report

At each of some budgets one student is planned, and others have the same budget bent by gains that
are drawn from -BOUND to BOUND. Of every one three numbers are known before training, the last two
on the plan's 256 images with batch-norm estimated anew: its predicted damage without gains (what
the plan minimises); the divergence of the *projected* student's answers from the teacher's, in nats
at distillation's temperature; and how much of the teacher's logits is lost to a linear read-out of
the student's, all of whose factors have WIDE bits: what is left is the error of rank, less what a
linear map repairs. Then all are trained alike (`students.py`).

`report` writes `screened.json`: Spearman's correlation of these numbers with the accuracy on the
test part (negative where a number is worth something), and the mean accuracy of the plan, of a
random one, and of the one that a rule picks of K random ones or of the plan and K random ones:
least of one number, least sum of its and the damage's rank. All means are over every group of K
that can be drawn, by resampling. Nothing is chosen by the test part but `hindsight`: of all bent
students the best under one seed, as accurate as it is under the others.
"""

import argparse
import json
import random
import statistics
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import cache, partial
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata, spearmanr
from students import Line, allocator, follow, parsers, prepared, read, run_missing, study, train

from mlgsearch.mlg.compress import compress
from mlgsearch.mlg.running.generation import generated_once
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.planning.answers import ANSWERS
from mlgsearch.planning.budget.allocation import Allocation
from mlgsearch.study.space.layer_tables import calibration
from mlgsearch.train.device import memory_format
from mlgsearch.train.loop.batch_norm import reestimate_on
from mlgsearch.train.teacher.teacher import build_network

#: Memory ratios, and epochs of a training.
RATIOS = {
    "digits": (0.0108, 0.0115, 0.0126, 0.0145, 0.017, 0.020),
    "cifar10": (0.010, 0.014, 0.020),
}
EPOCHS = {"digits": 6, "cifar10": 2}
BOUND = 1.0
#: Students at each budget; number 0 is the plan's.
COUNT = 25
#: Of how many a rule picks one, and how often groups are drawn.
K = 8
DRAWS = 4000
#: Bits at which a factor is as good as exact.
WIDE = 8
#: The ridge of the linear read-out, against inputs of variance 1.
RIDGE = 0.1

#: What is known before training, by name; less is better.
KNOWN = ("damage", "divergence", "lost")


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
def answers(
    task: str, root: str | None, chosen: Allocation, settings: Mapping[str, LayerSetting]
) -> torch.Tensor:
    """Return the logits (images, classes) of the projected student on the plan's images."""
    shared, spec = prepared(task, root), study(task, root)
    network = build_network(spec.model, shared.images)
    network.load_state_dict(shared.teacher.network.state_dict())
    quantisation = spec.quantisation
    compress(
        network,
        settings,
        method=quantisation.method,
        refine_steps=quantisation.refine_steps,
        norm_bits=chosen.norm_bits,
    )
    layout = memory_format(shared.images.input_shape)
    network = network.to(memory_format=layout)
    reestimate_on(
        network, shared.training, spec.training.batch_size, seed=spec.seed, memory_format=layout
    )
    with generated_once(network.eval()):
        return torch.cat([network(batch) for batch in calibration(shared)])


@cache
@torch.no_grad()
def teacher_answers(task: str, root: str | None) -> torch.Tensor:
    """Return the teacher's logits on the plan's images."""
    shared = prepared(task, root)
    teacher = shared.teacher.network.eval()
    return torch.cat([teacher(batch) for batch in calibration(shared)])


def widened(setting: LayerSetting) -> LayerSetting:
    """Return a setting of the same rank whose factors are as good as exact."""
    names = ("q_basis", "q_coeff_in", "q_coeff_out")
    return replace(setting, **{name: WIDE for name in names if getattr(setting, name)})


def lost(student: torch.Tensor, teacher: torch.Tensor) -> float:
    """Return the share of variance that no linear map from one to the other explains.

    It is fitted on one half of the rows and judged on the other, both ways.
    """
    halves = torch.arange(len(student)) % 2 == 0
    shares = []
    for here in (halves, ~halves):
        means, spread = student[here].mean(0), student[here].std(0) + 1e-6
        inputs = ((student - means) / spread).double()
        wanted = (teacher - teacher[here].mean(0)).double()
        gram = inputs[here].T @ inputs[here] / len(inputs[here])
        ridge = RIDGE * torch.eye(len(gram), dtype=gram.dtype)
        found = torch.linalg.solve(gram + ridge, inputs[here].T @ wanted[here] / len(inputs[here]))
        left = inputs[~here] @ found - wanted[~here]
        shares.append(float(left.square().sum() / wanted[~here].square().sum()))
    return statistics.fmean(shares)


def known(task: str, root: str | None, chosen: Allocation) -> Line:
    """Return what is known of a student before it is trained."""
    teacher = teacher_answers(task, root)
    kind = ANSWERS["classes"]
    projected = answers(task, root, chosen, chosen.settings)
    wide = {name: widened(setting) for name, setting in chosen.settings.items()}
    return {
        "damage": round(chosen.damage, 6),
        "divergence": round(kind.distance(projected, kind.reference(teacher)) / len(teacher), 5),
        "lost": round(lost(answers(task, root, chosen, wide), teacher), 5),
    }


def measure(root: str | None, line: Line) -> Line:
    """Train one student, and say what was known of it before."""
    task = line["task"]
    chosen = allocation(task, root, line["ratio"], line["number"])
    before = known(task, root, chosen)
    accuracy = train(
        task,
        root,
        chosen.settings,
        training={"epochs": EPOCHS[task]},
        quantisation={"norm_bits": chosen.norm_bits},
        seed=line["seed"],
    )
    return {**before, **accuracy}


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
        lines = [students[number] for number in sorted(students)]  # the plan's first
        tests = np.array([100 * statistics.fmean(each["test"] for each in one) for one in lines])
        others = tests[1:]
        row: dict[str, Any] = {
            "task": task,
            "ratio": ratio,
            "students": len(others),
            "seeds": min(map(len, lines)),
            "plan": round(float(tests[0]), 2),
            "random": round(float(others.mean()), 2),
            "deviation": round(float(others.std(ddof=1)), 2),
            "hindsight": _hindsight(lines[1:]),
        }
        values = {name: np.array([one[0][name] for one in lines]) for name in KNOWN}
        for name in KNOWN:
            row[f"spearman_{name}"] = round(float(spearmanr(values[name][1:], others)[0]), 2)
        for name in KNOWN[1:]:
            values[f"{name}_and_damage"] = rankdata(values[name]) + rankdata(values["damage"])
        for name, each in values.items():
            row[f"least_{name}"] = round(_picked(each[1:], others), 2)
            if name != "damage":  # the plan has the least
                row[f"plan_or_least_{name}"] = round(_picked(each, tests, plan=True), 2)
        figures.append(row)
        print(json.dumps(row))
    text = json.dumps(figures, indent=1) + "\n"
    (arguments.folder / "screened.json").write_text(text, encoding="utf-8")


def _hindsight(lines: list[list[Line]]) -> float | None:
    """Return the accuracy, in percent, of the best of one seed under the others; None of one."""
    seeds = min(map(len, lines))
    if seeds < 2:
        return None
    tests = 100 * np.array([[each["test"] for each in one[:seeds]] for one in lines])
    found = [np.delete(tests[tests[:, seed].argmax()], seed).mean() for seed in range(seeds)]
    return round(statistics.fmean(map(float, found)), 2)


def _picked(
    values: NDArray[np.float64], tests: NDArray[np.float64], *, plan: bool = False
) -> float:
    """Return the mean accuracy of the least of K, and of the first too where that is the plan."""
    draw = random.Random(0)
    first = [0] if plan else []
    groups = [first + draw.sample(range(len(first), len(tests)), K) for _ in range(DRAWS)]
    return statistics.fmean(tests[min(group, key=values.__getitem__)] for group in groups)


def main() -> int:
    """Run or report."""
    parser, _ = parsers(__doc__, "screened-benchmark", seeds=2)
    return follow(parser, run, report)


if __name__ == "__main__":
    sys.exit(main())
