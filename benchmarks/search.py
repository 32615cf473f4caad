"""How fast searches find good students: planned allocations beside the spaces without a plan.

    python benchmarks/search.py run digits [--trials 60]
    python benchmarks/search.py run digits-long
    python benchmarks/search.py run cifar10 --root FOLDER
    python benchmarks/search.py report digits digits-long cifar10

`run` launches one study an arm and a seed through the real service, into one database in the
folder (`--folder`, three `--seeds`); it may be interrupted, and goes on where it stopped. Arms
differ in nothing but their space, sampler and early stopping; see `search_arms.py`. `report` reads
what is there, and writes `search.json`, and a picture of each task; see `search_report.py`.
"""

import argparse
import json
import sys
from itertools import product
from pathlib import Path

from search_arms import ARMS, TASKS, read, run
from search_report import summarise, write_chart


def main() -> int:
    """Run or report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("search-benchmark"))
    parser.add_argument("--seeds", type=int, default=3)
    commands = parser.add_subparsers(dest="command", required=True)
    runner = commands.add_parser("run")
    runner.add_argument("task", choices=TASKS)
    runner.add_argument("--root", help="a folder with a subfolder of images per class")
    runner.add_argument("--trials", type=int, default=60)
    runner.add_argument("--arms", choices=ARMS, nargs="+", metavar="ARM", help="only these")
    reporter = commands.add_parser("report")
    reporter.add_argument("tasks", choices=TASKS, nargs="+")
    arguments = parser.parse_args()
    if arguments.command == "run":
        wanted = arguments.arms or TASKS[arguments.task]
        done = run(
            arguments.task,
            arguments.root,
            arguments.folder,
            product(range(arguments.seeds), wanted),
            arguments.trials,
        )
        return 0 if done else 1
    figures = {}
    for task in arguments.tasks:
        runs = read(task, arguments.folder, arguments.seeds)
        figures[task] = summarise(task, runs)
        write_chart(runs, arguments.folder / f"{task}.html", title=task)
    path = arguments.folder / "search.json"
    path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
