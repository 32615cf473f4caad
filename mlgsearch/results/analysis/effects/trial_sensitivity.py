"""Which layers cost accuracy, read from a study's own trials."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlgsearch.records import TrialRecord, TrialState
from mlgsearch.results.analysis.effects.ridge import fit_ridge

#: Fewer trials say nothing about layers.
LEAST_TRIALS = 8


@dataclass(frozen=True)
class LayerCost:
    """What a layer's loss cost in accuracy, over the trials of a study.

    ``loss`` is the mean over trials of the layer's squared relative error before training, in
    [0, 1]. ``cost`` is the accuracy (a fraction) that goes with a loss of all of the layer, by
    ridge regression: positive where a worse layer made worse students. ``error`` is its standard
    error, and with strong ridges too small: it knows nothing of the ridge's own bias.
    """

    loss: float
    cost: float
    error: float


def layer_costs(trials: Sequence[TrialRecord]) -> dict[str, LayerCost]:
    """Regress accuracy on the layers' squared relative errors before training.

    Every COMPLETE trial that trained a student of its own counts once. Errors are centred, not
    scaled: a layer whose error hardly varied is drawn to a cost of 0. The strength of the ridge is
    the one with the least leave-one-out error.

    Returns:
        By layer, in the trials' order; empty where there are fewer than ``LEAST_TRIALS``.
    """
    used = [
        trial
        for trial in trials
        if trial.state is TrialState.COMPLETE
        and trial.accuracy is not None
        and trial.reused_from is None
        and trial.projection_error
    ]
    if len(used) < LEAST_TRIALS:
        return {}
    layers = list(used[0].projection_error)
    loss = np.array([[trial.projection_error[name] ** 2 for name in layers] for trial in used])
    return costs_of(layers, loss, np.array([trial.accuracy for trial in used]))


def costs_of(
    layers: Sequence[str], loss: NDArray[np.float64], accuracy: NDArray[np.float64]
) -> dict[str, LayerCost]:
    """Do the same from the layers' squared relative errors, shape (trials, layers)."""
    means = loss.mean(0)
    slopes = errors = np.zeros(len(layers))
    if np.ptp(loss, axis=0).any():
        fit = fit_ridge(loss - means, accuracy - accuracy.mean())
        slopes, errors = fit.slopes, np.sqrt(fit.missed * np.square(fit.pull).sum(0))
    return {
        name: LayerCost(float(means[i]), float(-slopes[i]), float(errors[i]))
        for i, name in enumerate(layers)
    }
