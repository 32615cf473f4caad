"""Which way of weighing layers against each other foretells a trained student's accuracy.

    python benchmarks/weightings.py digits cifar10 [--root FOLDER]

Reads the studies that `search.py run` left in the folder. The damage of every layer of every
student is predicted from the teacher, summed by each weighting of `mlgsearch.planning.weighting`,
and compared with the accuracy it was trained to: Spearman's rank correlation (1 is best), over all
COMPLETE students, and the mean over thirds of them by size. `refitted` weights are learned from the
other students (ten parts, each foretold from the nine others): non-negative, and drawn to being
alike. `size` is the memory ratio alone. What is printed is JSON.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from search_arms import TASKS, read, study_spec

from mlgsearch.mlg.kinds import compressible_layers
from mlgsearch.paths import cache_directory
from mlgsearch.planning.layer.damage import DamageModel
from mlgsearch.planning.layer.grid import Ranges
from mlgsearch.planning.layer.layer_table import rank_correlation
from mlgsearch.planning.moments import layer_moments
from mlgsearch.planning.weighting import WEIGHTINGS, layer_weights
from mlgsearch.records import TrialRecord, TrialState
from mlgsearch.study.file.spec import StudySpec
from mlgsearch.study.space.layer_tables import calibration, open_tables
from mlgsearch.train.device import best_device
from mlgsearch.train.progress import no_progress
from mlgsearch.train.teacher.prepared import prepare

#: All that any of the searched spaces can choose.
_RANGES = Ranges((1, 9), (1, 64), (1, 8), (1, 8), (1, 8), levels_stay=False)
_THIRDS = 3
_FOLDS = 10
#: Strength of what draws refitted weights to being alike: the best of 0.03 to 3 on digits.
_RIDGE = 0.1

Array = NDArray[np.float64]


def damages(spec: StudySpec, trials: list[TrialRecord]) -> tuple[Array, dict[str, Array]]:
    """Predict every trial's damage by layer, (n, layers), and give each weighting's (layers,)."""
    prepared = prepare(
        spec.train_spec(), cache_directory(), epochs=1, device=best_device(), progress=no_progress
    )
    shape = prepared.network_shape()
    network = prepared.teacher.network
    tables = open_tables(spec, prepared, cache_directory(), no_progress)
    moments = layer_moments(
        network, calibration(prepared), seed=0, report=lambda done, total, note: None
    )
    modules = compressible_layers(network)
    columns = []
    for name, layer in shape.layers.items():
        weight, channels = modules[name].canonical_weight, moments[name].channels
        model = DamageModel(weight, channels, layer, _RANGES, spec.quantisation.method, 3)
        settings = np.array([trial.settings[name] for trial in trials], dtype=np.int64)
        columns.append(model.predict(settings))
    weights = {
        weighting: np.array([layer_weights(tables, weighting)[name] for name in shape.layers])
        for weighting in WEIGHTINGS
    }
    return np.stack(columns, axis=1), weights


def refitted(damage: Array, accuracy: Array, known: NDArray[np.bool_]) -> Array:
    """Foretell the harm of the students that are not known from those that are.

    Logits of accuracies are regressed on damages, (n, layers) to (unknown,).
    """
    logit = np.log((accuracy + 0.01) / (1.01 - accuracy))
    x = damage[known] - damage[known].mean(0)
    y = logit[known].mean() - logit[known]
    total = x.sum(1)
    alike = max(float(total @ y / (total @ total)), 1e-9)
    pull = np.sqrt(_RIDGE * np.square(x).sum(0).mean())
    layers = x.shape[1]
    weights, _ = nnls(
        np.vstack([x, pull * np.eye(layers)]), np.concatenate([y, np.full(layers, pull * alike)])
    )
    harm: Array = damage[~known] @ weights
    return harm


def _refitted_in_parts(damage: Array, accuracy: Array) -> Array:
    part = np.random.default_rng(0).permutation(len(accuracy)) % _FOLDS
    harm = np.empty(len(accuracy))
    for fold in range(_FOLDS):
        harm[part == fold] = refitted(damage, accuracy, part != fold)
    return harm


def correlations(
    damage: Array, weights: dict[str, Array], accuracy: Array, ratio: Array
) -> dict[str, Any]:
    """Compare each weighting's sum with the accuracy."""
    thirds = np.array_split(np.argsort(ratio, kind="stable"), _THIRDS)

    def compare(harm: Array) -> dict[str, float]:
        def rank(part: Array | NDArray[np.int64]) -> float:
            found = rank_correlation((-harm[part]).tolist(), accuracy[part].tolist())
            assert found is not None
            return found

        return {
            "all": round(rank(np.arange(len(harm))), 3),
            "within_thirds_of_size": round(float(np.mean([rank(third) for third in thirds])), 3),
        }

    sums: dict[str, Callable[[Array], Array]] = {
        "sum of damages": lambda w: damage @ w,
        "product of what is left": lambda w: -np.log(np.clip(1 - damage, 1e-3, 1)) @ w,
    }
    return {
        "students": len(accuracy),
        **{
            kind: {weighting: compare(add(w)) for weighting, w in weights.items()}
            for kind, add in sums.items()
        },
        "refitted": compare(_refitted_in_parts(damage, accuracy)),
        "size": compare(-ratio),
    }


def main() -> None:
    """Compare, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tasks", choices=TASKS, nargs="+")
    parser.add_argument("--folder", type=Path, default=Path("search-benchmark"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--root", help="a folder with a subfolder of images per class")
    arguments = parser.parse_args()
    figures = {}
    for task in arguments.tasks:
        runs = read(task, arguments.folder, arguments.seeds)
        spec = study_spec(task, arguments.root, "allocation, TPE", 0, 1)
        for arm, seeds in runs.items():
            trials = [
                trial
                for searched in seeds.values()
                for trial in searched.trials
                if trial.state is TrialState.COMPLETE and trial.reused_from is None
            ]
            damage, weights = damages(spec, trials)
            accuracy = np.array([trial.accuracy for trial in trials])
            ratio = np.array([trial.sizes.memory_ratio for trial in trials])
            figures[f"{task}: {arm}"] = correlations(damage, weights, accuracy, ratio)
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
