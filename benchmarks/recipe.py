"""How well a student trains under a recipe, beside a sweep of others made for the same student.

    python benchmarks/recipe.py run [--root FOLDER] [--tasks digits cifar10] [--recipes NAME ...]
        [--epochs 2 4 10]
    python benchmarks/recipe.py report

`run` trains planned students of several sizes for 2, 4 and 10 epochs under every recipe and seed,
and appends each one's accuracy on the validation and the test part to `recipe.jsonl` in the folder;
it goes on where it stopped. `cifar10` is 10,000 of the images under --root at 32x32, 6,000 of them
train. `report` writes `recipe.json`: a cell is a task, a size and a number of epochs, its figure
the mean over seeds on the test part, in percent; `gap` is how far the default lies below the best
other recipe of that very cell, over the seeds that both have.

The default's numbers were chosen on other sizes and lengths (digits at 0.0115, 0.018 and 0.035 of
the memory, 2 and 6 epochs; CIFAR-10 at 0.007, 0.014, 0.030 and 0.060, 2 epochs).
"""

import argparse
import json
import statistics
import sys
from functools import partial
from itertools import product
from typing import Any

from students import Line, allocator, follow, parsers, read, run_missing, train

#: Memory ratios, none of which the default was chosen on.
RATIOS = {"digits": (0.0135, 0.025, 0.05), "cifar10": (0.010, 0.020, 0.05)}
EPOCHS = (2, 4, 10)

DEFAULT = "default"
FORMER = "radam 2e-3, cosine, dorefa"


def _with(optimiser: str, rate: float) -> dict[str, Any]:
    return {"training": {"optimiser": optimiser, "learning_rate": rate}}


def _adamw(rate: float, method: str) -> dict[str, Any]:
    return {**_with("adamw", rate), "quantisation": {"method": method}}


RECIPES: dict[str, dict[str, Any]] = {
    DEFAULT: {},
    FORMER: {
        "training": {"optimiser": "radam", "schedule": "cosine", "learning_rate": 2e-3},
        "quantisation": {"method": "dorefa"},
    },
    **{f"adamw {rate:g}, dorefa": _adamw(rate, "dorefa") for rate in (4e-3, 1e-2, 3e-2, 6e-2)},
    **{f"adamw {rate:g}, lsq": _adamw(rate, "lsq") for rate in (1e-2, 2e-2)},
    **{f"relative_adamw {rate:g}": _with("relative_adamw", rate) for rate in (0.06, 0.18, 0.4)},
    **{f"muon {rate:g}": _with("muon", rate) for rate in (0.02, 0.06, 0.2)},
    **{f"default at rate {rate:g}": _with("relative_muon", rate) for rate in (0.14, 0.56)},
    **{f"default, {method}": {"quantisation": {"method": method}} for method in ("dorefa", "lsq")},
}

#: The students are those that the weighting of the plan's time gave.
_WEIGHTING = "relative"


def measure(root: str | None, line: Line) -> Line:
    """Train one student of the planned front."""
    plan = allocator(line["task"], root, _WEIGHTING)
    full = 32 * plan.tables.shape.full_parameters
    planned = plan.allocate(round(line["ratio"] * full))
    recipe = RECIPES[line["recipe"]]
    accuracy = train(
        line["task"],
        root,
        planned.settings,
        training={**recipe.get("training", {}), "epochs": line["epochs"]},
        quantisation={**recipe.get("quantisation", {}), "norm_bits": planned.norm_bits},
        seed=line["seed"],
    )
    return {"memory_ratio": planned.bits / full, **accuracy}


def run(arguments: argparse.Namespace) -> None:
    """Train what is missing."""
    wanted = [
        {"task": task, "recipe": recipe, "ratio": ratio, "epochs": epochs, "seed": seed}
        for task, epochs in product(arguments.tasks, arguments.epochs)
        for seed, recipe, ratio in product(range(arguments.seeds), arguments.recipes, RATIOS[task])
    ]
    for task in arguments.tasks:
        allocator(task, arguments.root, _WEIGHTING)  # made once, before all processes ask for it
    path = arguments.folder / "recipe.jsonl"
    run_missing(path, wanted, partial(measure, arguments.root), arguments.processes)


def report(arguments: argparse.Namespace) -> None:
    """Compare, write `recipe.json`, and print a table of it."""
    accuracies: dict[tuple[str, float, int], dict[str, dict[int, float]]] = {}
    for line in read(arguments.folder / "recipe.jsonl"):
        cell = accuracies.setdefault((line["task"], line["ratio"], line["epochs"]), {})
        cell.setdefault(line["recipe"], {})[line["seed"]] = 100 * line["test"]
    figures = []
    for (task, ratio, epochs), found in sorted(accuracies.items()):
        if not {DEFAULT, FORMER} <= found.keys():
            continue  # not trained yet
        means = {name: statistics.fmean(values.values()) for name, values in found.items()}
        ahead = {name: _ahead(values, found[DEFAULT]) for name, values in found.items()}
        best = max((name for name in ahead if name != DEFAULT), key=ahead.__getitem__)
        figures.append(
            {
                "task": task,
                "ratio": ratio,
                "epochs": epochs,
                "seeds": {name: len(values) for name, values in found.items()},
                "test_percent": {name: round(mean, 2) for name, mean in means.items()},
                "deviation": {
                    name: round(statistics.stdev(values.values()), 2)
                    for name, values in found.items()
                    if len(values) > 1
                },
                "best_other": best,
                "gap": round(ahead[best], 2),
                "above_former": round(-ahead[FORMER], 2),
            }
        )
        print(
            f"{task} {ratio:g} {epochs} epochs: default {means[DEFAULT]:.1f}, "
            f"former {means[FORMER]:.1f}, best other {best} {means[best]:.1f}"
        )
    (arguments.folder / "recipe.json").write_text(
        json.dumps(figures, indent=1) + "\n", encoding="utf-8"
    )


def _ahead(one: dict[int, float], other: dict[int, float]) -> float:
    """Return by how much one recipe's accuracies exceed another's, over the seeds of both."""
    return statistics.fmean(one[seed] - other[seed] for seed in one.keys() & other.keys())


def main() -> int:
    """Run or report."""
    parser, runner = parsers(__doc__, "recipe-benchmark", seeds=3)
    runner.add_argument("--recipes", choices=RECIPES, nargs="+", default=list(RECIPES))
    runner.add_argument("--epochs", type=int, choices=EPOCHS, nargs="+", default=list(EPOCHS))
    return follow(parser, run, report)


if __name__ == "__main__":
    sys.exit(main())
