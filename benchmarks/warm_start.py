"""How many trials a warm-started search needs for what a cold one found in all of its own.

    python benchmarks/warm_start.py [--folder FOLDER] [--trials N] [--seeds N]

For each seed three studies of digits run through the real service, into one database in the folder;
they may be interrupted, and go on where they stopped. ``earlier`` has another seed of training and
of search; ``cold`` and ``warm`` are the same study but for `search.warm_start: [earlier]`. Prints
for each seed the final hypervolume of both, after how many trials each first had the cold one's
final hypervolume, and what both had after each quarter of the trials.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from search_arms import SHARED, Line

from mlgsearch.results.analysis.front import front_hypervolume
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.store import ResultStore
from mlgsearch.study.drive import Options
from mlgsearch.study.file.study_file import parse_study
from mlgsearch.study.launch import launch


def content(name: str, seed: int, trials: int, warm_start: list[str]) -> dict[str, Any]:
    """Return a study file's content."""
    return {
        "name": name,
        "seed": seed,
        **SHARED["digits"],
        "space": {"kind": "allocation"},
        "search": {"n_trials": trials, "seed": seed, "warm_start": warm_start},
    }


def course(store: ResultStore, name: str) -> list[float]:
    """Return the hypervolume after each finished trial, in the order in which they finished."""
    study = store.study(name)
    trials = [trial for trial in store.trials(name) if trial.finished_at is not None]
    trials.sort(key=lambda trial: (trial.finished_at, trial.number))
    return [
        front_hypervolume(trials[:count], study.objectives, study.hypervolume_reference)
        for count in range(1, len(trials) + 1)
    ]


def first_at(values: list[float], goal: float) -> str:
    """Say after how many trials a hypervolume was there."""
    return next((str(k) for k, value in enumerate(values, 1) if value >= goal), "not reached")


def main() -> int:
    """Run what has not run yet, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("warm-start-benchmark"))
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    engine = open_engine(f"sqlite:///{given.folder.absolute() / 'studies.db'}")
    store = ResultStore(engine)
    for seed in range(given.seeds):
        earlier, cold, warm = (f"{kind}-{seed}" for kind in ("earlier", "cold", "warm"))
        for name, its_seed, begins in (
            (earlier, 1000 + seed, []),
            (cold, seed, []),
            (warm, seed, [earlier]),
        ):
            spec = parse_study(content(name, its_seed, given.trials, begins), name)
            outcome = launch(spec, "", engine, Line(name), options=Options(max_parallel=2))
            if not outcome.is_finished:
                return 1
        without, with_it = course(store, cold), course(store, warm)
        goal = without[-1]
        print(
            f"seed {seed}: final hypervolume {goal:.4f} cold, {with_it[-1]:.4f} warm; the cold "
            f"one's final is there after {first_at(without, goal)} of {len(without)} trials cold, "
            f"{first_at(with_it, goal)} of {len(with_it)} warm"
        )
        for quarter in (1, 2, 3):
            count = quarter * given.trials // 4
            print(
                f"  after {count} trials: {without[count - 1] / goal:.2%} cold, "
                f"{with_it[count - 1] / goal:.2%} warm"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
