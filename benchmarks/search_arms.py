"""The searches that `search.py` compares, and running and reading them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from search_report import Runs, Searched

from mlgsearch.records import EpochRecord, StudyRecord, TrialRecord
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.store import ResultStore
from mlgsearch.study.drive import Options
from mlgsearch.study.file.spec import StudySpec
from mlgsearch.study.file.study_file import parse_study
from mlgsearch.study.launch import launch

#: What both searched spaces may choose from, and the head and normalisation with it. Weighting and
#: quantisers are those of the time when `search.json` was made, whatever the defaults are now.
_RANGES = {
    "B_in": [1, 8],
    "B_out": [1, 64],
    "weighting": "relative",
    "hyperparameters": {"quantisation.norm_bits": {"choices": [16, 32]}},
}
_ALLOCATION = {"kind": "allocation", **_RANGES}
_LAYERWISE = {"kind": "layerwise", "head_bits": "search", **_RANGES}

#: The paper's five numbers, one setting for the network: 60 of them, stored as the paper does.
GRID = [
    [base_in, base_out, *bits]
    for base_out, base_in, bits in product(
        (4, 8, 16, 32, 64), (1, 2, 3, 4), ((3, 6, 3), (4, 4, 4), (8, 8, 8))
    )
]

#: 60 that reach as low as a plan does, with the options that a plan chooses there.
FAIR_GRID = [
    [base_in, base_out, bits, bits, bits]
    for base_out, base_in, bits in product((1, 2, 3, 4, 6, 8, 12, 16, 24, 32), (1, 2, 3), (2, 3))
]


@dataclass(frozen=True)
class Arm:
    """One way to search: parts of a study file."""

    space: dict[str, Any]
    search: dict[str, Any] = field(default_factory=dict)
    quantisation: dict[str, Any] = field(default_factory=dict)


ARMS = {
    "allocation, TPE": Arm(_ALLOCATION),
    "layerwise, TPE": Arm(_LAYERWISE),
    "uniform grid": Arm({"kind": "uniform"}, {"sampler": "random", "first": GRID}),
    "uniform grid, equal options": Arm(
        {"kind": "uniform", "head_bits": 4},
        {"sampler": "random", "first": FAIR_GRID},
        {"norm_bits": 16},
    ),
    "layerwise, NSGA-II": Arm(_LAYERWISE, {"sampler": "nsga2"}),
    "layerwise, random": Arm(_LAYERWISE, {"sampler": "random"}),
    "allocation, TPE, stopped early": Arm(_ALLOCATION, {"early_stopping": {"min_trials": 4}}),
    "allocation, TPE, stopped eagerly": Arm(
        _ALLOCATION, {"early_stopping": {"factor": 24, "rung_factor": 2, "min_trials": 4}}
    ),
}
_SPACES = list(ARMS)[:6]

#: Which arms run on a task.
TASKS = {
    "digits": _SPACES,
    "cifar10": _SPACES,
    "digits-long": [
        "allocation, TPE",
        "allocation, TPE, stopped early",
        "allocation, TPE, stopped eagerly",
    ],
}

_ADAM = {"optimiser": "adamw", "schedule": "one_cycle"}

_DIGITS: dict[str, Any] = {
    "data": {"name": "digits"},
    "model": {"name": "resnet8", "width": 8},
    "teacher": {"training": {**_ADAM, "learning_rate": 0.01, "epochs": 15}},
}
_SGD = {"optimiser": "sgd", "schedule": "one_cycle"}
_BATCH = {"batch_size": 128, "precision": "bfloat16"}

#: The parts of a study file that all arms of a task share.
SHARED: dict[str, dict[str, Any]] = {
    "digits": {**_DIGITS, "training": {**_ADAM, "learning_rate": 0.01, "epochs": 3}},
    "digits-long": {**_DIGITS, "training": {**_ADAM, "learning_rate": 0.01, "epochs": 9}},
    "cifar10": {
        # 10,000 images: 7,900 train, 2,000 judge. At 16x16 a training takes a quarter of the time.
        "data": {
            "name": "folder",
            "image_size": 16,
            "limit": 10_000,
            "validation_fraction": 0.2,
            "test_fraction": 0.01,
        },
        "model": {"name": "resnet8"},
        "teacher": {"training": {**_SGD, **_BATCH, "learning_rate": 0.2, "epochs": 20}},
        "training": {**_ADAM, **_BATCH, "learning_rate": 0.004, "epochs": 2},
    },
}


def study_name(task: str, arm: str, seed: int) -> str:
    """Name an arm's study of one seed."""
    return f"{task}: {arm}, seed {seed}"


def study_spec(task: str, root: str | None, arm: str, seed: int, trials: int) -> StudySpec:
    """Put a study together; the seed is the search's and the trainings', the teacher is one."""
    parts = SHARED[task]
    if task == "cifar10":
        parts = {**parts, "data": {**parts["data"], "root": str(Path(root or ".").resolve())}}
    content = {
        "name": study_name(task, arm, seed),
        **parts,
        "seed": seed,
        "space": ARMS[arm].space,
        "quantisation": {"method": "dorefa", **ARMS[arm].quantisation},
        "search": {"seed": seed, "n_trials": trials, **ARMS[arm].search},
    }
    return parse_study(content, "benchmark")


class Line:
    """A line for each finished trial."""

    def __init__(self, name: str):
        self._name = name

    def preparing(self, stage: str, done: int, total: int, note: str) -> None:
        """Say nothing."""

    def notice(self, text: str) -> None:
        """Say nothing."""

    def started(self, study: StudyRecord, trials: Sequence[TrialRecord], at_once: int) -> None:
        """Say how many are there already."""
        print(f"{self._name}: {len(trials)} of {study.n_trials} trials are there", flush=True)

    def trial(self, record: TrialRecord, epochs: Sequence[EpochRecord]) -> None:
        """Print an ended trial."""
        if record.state.is_finished:
            accuracy = 100 * (record.accuracy or 0.0)
            print(
                f"{self._name}: trial {record.number} {record.state} {accuracy:.2f} % at "
                f"{record.sizes.memory_ratio:.4f}",
                flush=True,
            )


def run(
    task: str, root: str | None, folder: Path, wanted: Iterable[tuple[int, str]], trials: int
) -> bool:
    """Launch what is missing of seeds and arms; gives False where a signal stopped it."""
    folder.mkdir(parents=True, exist_ok=True)
    engine = open_engine(f"sqlite:///{folder / 'search.db'}")
    for seed, arm in wanted:
        spec = study_spec(task, root, arm, seed, trials)
        outcome = launch(spec, "", engine, Line(spec.name), options=Options(max_parallel=2))
        if not outcome.is_finished:
            return False
    return True


def read(task: str, folder: Path, seeds: int) -> Runs:
    """Read every arm and seed of a task that is through."""
    store = ResultStore(open_engine(f"sqlite:///{folder / 'search.db'}", read_only=True))
    known = {record.name: record.n_trials for record in store.studies()}
    epochs = range(1, SHARED[task]["training"]["epochs"] + 1)
    found: Runs = {}
    for arm, seed in product(TASKS[task], range(seeds)):
        name = study_name(task, arm, seed)
        if name in known:
            trials = [trial for trial in store.trials(name) if trial.state.is_finished]
            if len(trials) >= known[name]:
                curves = store.accuracies(name, epochs)
                found.setdefault(arm, {})[seed] = Searched(trials, curves)
    return found
