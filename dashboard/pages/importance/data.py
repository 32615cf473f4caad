"""What the page of importance reads of a study: which layers moved its trials' accuracy."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from dashboard.database import Database
from mlgsearch.records import LayerRecord, StudyRecord, TrialState
from mlgsearch.results.analysis.effects.hyperparameters import curve
from mlgsearch.results.analysis.effects.importance import (
    LEAST_PER_FEATURE,
    Importance,
    chosen_trials,
    layer_importance,
)
from mlgsearch.results.analysis.effects.trial_sensitivity import LEAST_TRIALS, LayerCost, costs_of
from mlgsearch.results.analysis.trial_columns import NO_TRIAL
from mlgsearch.results.read.layer_grid import NUMBERS, Floats, LayerGrid, read_layer_grid

#: Up to this share of the variance explained, the order of layers says next to nothing.
_LITTLE = 0.1

#: How often a 95 % interval lies above 0 by chance.
_LUCK = 0.025


@dataclass(frozen=True)
class StudyImportance:
    """``importance`` and ``costs`` of the layers, empty where too little is known.

    Of a study whose layers share their numbers, importance is of those and the hyperparameters.

    ``predicted`` is the standard deviation over the trials of each layer's predicted damage, in
    the importance's order, NaN of hyperparameters; None where no damage is stored.
    """

    study: StudyRecord
    complete: int
    importance: Importance | None
    costs: Mapping[str, LayerCost]
    predicted: Floats | None

    @classmethod
    def read(cls, database: Database, name: str) -> "StudyImportance":
        """Read it; what is costly is done once for the same trials.

        Raises:
            StudyNotFoundError: there is no such study.
        """
        results = database.results(name)
        study, columns = results.record, results.columns
        own = columns.is_in(TrialState.COMPLETE) & (columns.reused_from == NO_TRIAL)
        own &= np.isfinite(columns.accuracy)
        numbers = chosen_trials(columns.number[own].tolist())
        accuracy = columns.accuracy[columns.rows_of(numbers)]
        complete = int(columns.is_in(TrialState.COMPLETE).sum())
        trained = _Trained(
            tuple(numbers),
            accuracy.tobytes(),
            database.hyperparameters(results).features(columns.rows_of(numbers)),
        )
        found = _found(database, name, study.layers, trained, is_uniform(study))
        return cls(study, complete, *found)

    @property
    def agreement(self) -> float | None:
        """Spearman's rank correlation of what layers did with what was predicted of them."""
        if self.importance is None or self.predicted is None:
            return None
        layers = [layer.moved for layer in self.importance.layers if layer.is_layer]
        moved, predicted = np.array(layers), self.predicted[: len(layers)]
        if np.ptp(moved) == 0 or np.ptp(predicted) == 0:
            return None
        return float(np.corrcoef(_ranks(moved), _ranks(predicted))[0, 1])

    def certainty(self) -> str:
        """Describe how sure the order of the layers is."""
        found = self.importance
        assert found is not None
        if not found.is_enough:
            return (
                f"{found.trials} trials are too few to name what matters: the fit has "
                f"{found.features} numbers per trial, and needs two trials for each "
                f"({LEAST_PER_FEATURE * found.features:,})."
            )
        share = f"{max(0.0, 100 * found.explained):.0f} %"
        if found.explained < _LITTLE:
            return (
                f"{_what(found)} predict {share} of the differences in accuracy between "
                f"trials that were left out: {found.trials} trials do not show which ones matter. "
                "More trials, or trials that differ more, would."
            )
        lucky = len(found.layers) * _LUCK
        return (
            f"From {found.trials} trials: {_what(found).lower()} predict {share} of the "
            f"differences in accuracy between trials that were left out; {len(found.clear)} of "
            f"{len(found.layers)} stand out from chance, where luck alone would show "
            f"{f'about {lucky:.0f}' if lucky >= 1 else 'less than one'}."
        )

    def rows(self) -> list[dict[str, Any]]:
        """Return the layers as rows of a table, in the network's order; accuracy is a fraction."""
        if self.importance is None:
            return []
        rows = []
        for place, layer in enumerate(self.importance.layers):
            cost = self.costs.get(layer.layer)
            rows.append(
                {
                    "layer": layer.layer,
                    "moved": layer.moved,
                    "low": layer.low,
                    "high": layer.high,
                    "is_clear": layer in self.importance.clear,
                    "gain": layer.gain,
                    "predicted": None
                    if self.predicted is None or not layer.is_layer
                    else float(self.predicted[place]),
                    "cost": None if cost is None else cost.cost,
                    "cost_error": None if cost is None else cost.error,
                }
            )
        return rows


def is_uniform(study: StudyRecord) -> bool:
    """Return whether a study's layers all share one setting, which hides the effect of each."""
    return study.section("space").get("kind") == "uniform"


def _what(found: Importance) -> str:
    if not any(layer.is_layer for layer in found.layers):
        return "The shared numbers and the hyperparameters"
    if all(layer.is_layer for layer in found.layers):
        return "The layers' numbers"
    return "The layers' numbers and the hyperparameters"


@dataclass(frozen=True)
class _Trained:
    """Trials, their accuracies (float64), and the columns of their hyperparameters in a fit."""

    numbers: tuple[int, ...]
    accuracies: bytes
    hyperparameters: Mapping[str, Floats] = field(compare=False)  # of trials these never change


@lru_cache(maxsize=8)
def _found(
    database: Database,
    name: str,
    layers: tuple[LayerRecord, ...],
    trained: _Trained,
    shares_numbers: bool,
) -> tuple[Importance | None, Mapping[str, LayerCost], Floats | None]:
    """Attribute accuracies to layers, or the numbers they all share, and to hyperparameters."""
    numbers, accuracies = trained.numbers, trained.accuracies
    if len(numbers) < LEAST_TRIALS:
        return None, {}, None
    grid = read_layer_grid(database.engine, name, numbers, layers)
    assert grid.numbers == numbers, "a COMPLETE trial stays"
    accuracy = np.frombuffer(accuracies, dtype=np.float64)
    if shares_numbers:
        terms = {**_shared_numbers(grid), **trained.hyperparameters}
        return layer_importance((), grid.settings[:, :0], None, accuracy, terms), {}, None
    known = np.isfinite(grid.bits).all() and (grid.bits > 0).all()
    bits = grid.bits.astype(np.int64) if known else None
    named = {
        f"{key} (hyperparameter)" if key in grid.layers else key: own
        for key, own in trained.hyperparameters.items()
    }
    importance = layer_importance(grid.layers, grid.settings, bits, accuracy, named)
    predicted = _spread(grid.damage)
    if predicted is not None:
        predicted = np.pad(predicted, (0, len(named)), constant_values=np.nan)
    return importance, _costs(grid, accuracy), predicted


def _shared_numbers(grid: LayerGrid) -> dict[str, Floats]:
    """Return the terms of the five numbers that all layers of a trial share, of those that differ.

    What a layer cannot hold is absent there or less, so the largest is the one that was asked for;
    layers that are not searched have bits of their own.
    """
    is_searched = np.array([record.is_searched for record in grid.records], dtype=np.bool_)
    settings = grid.settings[:, is_searched] if is_searched.any() else grid.settings
    asked = settings.max(1)  # (T, 5)
    terms = {
        f"{number} of all layers": curve(asked[:, place].astype(np.float64))
        for place, number in enumerate(NUMBERS)
    }
    return {name: own for name, own in terms.items() if own.any()}


def _costs(grid: LayerGrid, accuracy: Floats) -> Mapping[str, LayerCost]:
    if not np.isfinite(grid.errors).all():
        return {}
    return costs_of(grid.layers, np.square(grid.errors), accuracy)


def _spread(damage: Floats) -> Floats | None:
    """Return each layer's standard deviation (L,); a layer without predictions has 0."""
    if not np.isfinite(damage).any():
        return None
    known = np.where(np.isfinite(damage), damage, 0.0)
    return np.asarray(known.std(0), dtype=np.float64)


def _ranks(values: Floats) -> Floats:
    """Return ranks (n,), equal values the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[place], dtype=np.float64)
