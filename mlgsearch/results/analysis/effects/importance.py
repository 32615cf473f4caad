"""Which layers moved the accuracy of a study's trials, and how sure that is."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlgsearch.results.analysis.effects.ridge import fit_ridge
from mlgsearch.results.analysis.effects.trial_sensitivity import LEAST_TRIALS

Values = npt.NDArray[np.float64]

#: More trials make the answer slower, and hardly surer.
MOST_TRIALS = 1000

#: With fewer trials per number of the fit, no layer is named.
LEAST_PER_FEATURE = 2

#: Half the width of an interval, in standard errors.
_ERRORS = 1.96


@dataclass(frozen=True)
class LayerImportance:
    """How far a layer's numbers moved the accuracy of trials, all else equal.

    ``moved`` is the standard deviation over the trials of what the layer's numbers did to accuracy
    (a fraction; larger matters more), about 0 or below where nothing was found. ``low`` to
    ``high`` is its 95 % interval by the scatter of trials; what the fit cannot follow (numbers that
    act only together) is not in it. ``gain`` is the accuracy that goes with twice the layer's bits,
    None where bits are not known or never varied. One that ``is_layer`` is not is a hyperparameter.
    """

    layer: str
    moved: float
    low: float
    high: float
    gain: float | None
    is_layer: bool = True

    @property
    def is_clear(self) -> bool:
        """Whether chance alone would hardly show as much; below 0 nothing was found."""
        return self.low > 0


@dataclass(frozen=True)
class Importance:
    """All layers, in the network's order, then hyperparameters, and what they rest on.

    ``features`` counts the numbers that the fit had per trial; ``explained`` is the share of the
    accuracy's variance that they predict for trials left out of the fit, at most 1; at 0 or below
    they predict nothing, and no layer should be believed.
    """

    layers: tuple[LayerImportance, ...]
    trials: int
    explained: float
    features: int

    @property
    def is_enough(self) -> bool:
        """Whether there are trials enough to name a layer: two per number of the fit."""
        return self.trials >= LEAST_PER_FEATURE * self.features

    @property
    def clear(self) -> tuple[LayerImportance, ...]:
        """What stands out from chance, largest first; nothing where trials are too few."""
        found = [layer for layer in self.layers if layer.is_clear] if self.is_enough else []
        return tuple(sorted(found, key=lambda layer: -layer.moved))


def chosen_trials(numbers: Sequence[int], *, most: int = MOST_TRIALS, seed: int = 0) -> list[int]:
    """Return the trials to ask: all, or a fixed random ``most`` of them, in order."""
    if len(numbers) <= most:
        return sorted(numbers)
    drawn = np.random.default_rng(seed).choice(sorted(numbers), most, replace=False)
    return sorted(drawn.tolist())


def layer_importance(
    layers: Sequence[str],
    settings: npt.NDArray[np.int64],
    bits: npt.NDArray[np.int64] | None,
    accuracy: Values,
    hyperparameters: Mapping[str, Values] | None = None,
) -> Importance | None:
    """Attribute the accuracies of trials to layers, the five numbers of each taken together.

    Hyperparameters that differ are terms of the same fit: what they did is not a layer's.

    A sum of one term per layer is fitted by ridge regression. A term is linear in the logarithms of
    the layer's bits, or of its bits and its five numbers with a mark for an absent level: whichever
    predicts left-out trials better. The numbers of all layers have the same weight before the fit,
    and the ridge's strength is the one with the least leave-one-out error.

    A layer's importance is measured on trials that were left out of the fit: the covariance of
    its standardised term with what the other layers' terms leave. That is the root of half what
    permuting the layer's numbers among the trials would add to the squared error (Breiman 2001,
    "Random forests", section 10) were the term's size exact, without drawing permutations. It is
    not above 0 in the mean for a layer that does nothing. The interval is by its influence
    function (Efron 1982, "The jackknife, the bootstrap and other resampling plans", chapter 6).

    Args:
        layers: their names.
        settings: canonical five numbers of each trial and layer, shape (n, L, 5).
        bits: that each layer takes, shape (n, L), all positive; None where they are not known.
        accuracy: fractions, shape (n,).
        hyperparameters: the column for each in the fit, shape (n, F); names are no layers'.

    Returns:
        None where there are fewer than ``LEAST_TRIALS`` trials, all of one accuracy, or no layer
        ever differed.

    Raises:
        ValueError: the shapes do not fit, an accuracy is not finite, or bits are not positive.
    """
    _check(layers, settings, bits, accuracy)
    trials = len(accuracy)
    if trials < LEAST_TRIALS or not np.ptp(accuracy) > 0:
        return None
    scaled = accuracy - accuracy.mean()
    numbers = np.concatenate([_logarithms(settings), (settings[..., :2] == 0) * 1.0], axis=2)
    candidates = [numbers]  # (n, L, 7)
    if bits is not None:
        sizes = np.log2(bits)[..., None]  # (n, L, 1)
        candidates = [sizes, np.concatenate([sizes, numbers], axis=2)]
    others = hyperparameters or {}
    best = _best((_fit(_joined(each, others), scaled) for each in candidates), trials)
    if best is None:
        return None
    rows = []
    for place, name in enumerate((*layers, *others)):
        moved, error = _moved(best.left_out[:, place], best.residual)
        is_layer = place < len(layers)
        gain = None
        if is_layer and bits is not None:
            gain = _gain(best.terms[:, place], bits[:, place])
        low, high = moved - _ERRORS * error, moved + _ERRORS * error
        rows.append(LayerImportance(name, moved, low, high, gain, is_layer))
    explained = float(1 - best.missed / np.square(scaled).mean())
    return Importance(tuple(rows), trials, explained, best.features)


@dataclass(frozen=True)
class _Fit:
    """A sum of layers' terms.

    ``terms`` and ``left_out`` (n, L): each layer's part of a trial's predicted accuracy, fitted
    with and without that trial; ``residual`` (n,) is what is wrong without it, and ``missed`` the
    mean of its square. ``features`` counts what differed.
    """

    terms: Values
    left_out: Values
    residual: Values
    missed: float
    features: int


def _joined(features: Values, others: Mapping[str, Values]) -> Values:
    """Append terms to those of the layers (n, L, F); what a term lacks is 0 and never differs."""
    if not others:
        return features
    wide = max(features.shape[2], *(own.shape[1] for own in others.values()))
    joined = np.zeros((len(features), features.shape[1] + len(others), wide))
    joined[:, : features.shape[1], : features.shape[2]] = features
    for place, own in enumerate(others.values(), start=features.shape[1]):
        joined[:, place, : own.shape[1]] = own
    return joined


def _fit(features: Values, wanted: Values) -> _Fit | None:
    """Fit a sum of layers' terms to centred accuracies, from features (n, L, F)."""
    layers = features.shape[1]
    centred = features - features.mean(0)
    spread = centred.std(0)  # (L, F)
    varies = spread > 1e-9
    if not varies.any():
        return None
    of_layer = np.broadcast_to(np.arange(layers)[:, None], varies.shape)[varies]  # (P,)
    share = np.sqrt(varies.sum(1))[of_layer]  # a layer of many numbers weighs no more than others
    x = centred[:, varies] / spread[varies] / share  # (n, P)
    fit = fit_ridge(x, wanted)
    to_layers = np.zeros((x.shape[1], layers))
    to_layers[np.arange(x.shape[1]), of_layer] = 1
    terms = (x * fit.slopes) @ to_layers
    own = (x * fit.pull) @ to_layers
    left_out = terms - own * fit.residual[:, None]
    return _Fit(terms, left_out, fit.residual, fit.missed, x.shape[1])


def _best(found: Iterable[_Fit | None], trials: int) -> _Fit | None:
    """Return the fit that predicts left-out trials best, of those that can name layers if any."""
    fits = [fit for fit in found if fit is not None]
    # A fit of few numbers names layers where one of many, though it may predict better, cannot.
    sound = [fit for fit in fits if trials >= LEAST_PER_FEATURE * fit.features]
    return min(sound or fits, key=lambda fit: fit.missed, default=None)


def _moved(term: Values, residual: Values) -> tuple[float, float]:
    """Return how far a layer's left-out term (n,) moved the rest, and its standard error."""
    spread = float(term.std())
    if spread <= 1e-12:
        return 0.0, 0.0
    z = (term - term.mean()) / spread
    rest = term + residual
    rest = rest - rest.mean()
    moved = float((z * rest).mean())
    influence = z * rest - moved * (1 + z**2) / 2
    return moved, float(influence.std() / np.sqrt(len(term)))


def _gain(term: Values, bits: npt.NDArray[np.int64]) -> float | None:
    doublings = np.log2(bits)
    doublings = doublings - doublings.mean()
    square = float(np.square(doublings).sum())
    return float(doublings @ term) / square if square > 1e-9 else None


def _logarithms(settings: npt.NDArray[np.int64]) -> Values:
    """Take log2 of numbers (n, L, 5); an absent one is put at the mean of its layer's others."""
    is_absent = settings == 0
    logs = np.log2(np.where(is_absent, 1, settings))
    present = np.maximum((~is_absent).sum(0), 1)
    return np.where(is_absent, logs.sum(0) / present, logs)


def _check(
    layers: Sequence[str],
    settings: npt.NDArray[np.int64],
    bits: npt.NDArray[np.int64] | None,
    accuracy: Values,
) -> None:
    wanted = (len(accuracy), len(layers))
    if settings.shape != (*wanted, 5):
        raise ValueError(f"settings have shape {settings.shape}, expected {(*wanted, 5)}")
    if bits is not None and (bits.shape != wanted or (bits <= 0).any()):
        raise ValueError(f"bits have shape {bits.shape}, expected {wanted} and all positive")
    if not np.isfinite(accuracy).all():
        raise ValueError("an accuracy is not finite")
