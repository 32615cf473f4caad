"""What is worth choosing on one layer: its Pareto list of bits against predicted damage."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mlgsearch.mlg.setting import LayerSetting, LayerShape
from mlgsearch.planning.layer.damage import DamageModel, Damages
from mlgsearch.planning.layer.grid import Ranges, Settings, bits_of, grid, setting_of
from mlgsearch.planning.unbeaten import unbeaten

#: Digits of a predicted damage that are kept: another processor's rounding changes no choice.
_DIGITS = 4

#: About which damages a layer's divergence is measured at; between them it is interpolated.
LEVELS = (0.1, 0.3, 0.5, 0.75, 0.97)

#: A rank correlation of fewer settings says nothing.
_LEAST_CHECKED = 4


@dataclass(frozen=True, eq=False)
class LayerTable:
    """A layer's settings that no other beats in both bits and damage.

    ``settings`` (n, 5), ``bits`` (n,) ascending, ``damage`` (n,) descending, a fraction of
    ``energy``: the mean square of the layer's output at one position, summed over channels.
    ``gradient`` is the mean over samples of the squared gradient of the loss in that output, summed
    over positions and divided by the channels. ``divergence`` (n,), which never grows with bits, is
    how far the network's answers move with this layer alone at each setting (see
    `mlgsearch.planning.divergence`), all 0 where it was not measured. ``rank_correlation`` is
    Spearman's, of predicted with true damage on ``checked`` settings drawn from all in range; None
    below 4.
    """

    shape: LayerShape
    settings: Settings
    bits: NDArray[np.int64]
    damage: Damages
    energy: float = 0.0
    gradient: float = 0.0
    rank_correlation: float | None = None
    checked: int = 0
    divergence: Damages = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        if not len(self.divergence):
            object.__setattr__(self, "divergence", np.zeros(len(self.bits)))

    def __len__(self) -> int:
        return len(self.bits)

    def setting(self, choice: int) -> LayerSetting:
        """Return the setting at an index."""
        return setting_of(self.settings[choice])


def fixed_table(
    model: DamageModel, shape: LayerShape, setting: LayerSetting, gradient: float
) -> LayerTable:
    """Make the table of a layer that has no choice; the setting's damage is measured."""
    canonical = setting.canonical(shape)
    settings = np.array([canonical.five], dtype=np.int64)
    damage = _rounded(np.array([model.measure(canonical)]))
    return LayerTable(shape, settings, bits_of(settings, shape), damage, model.energy, gradient)


def layer_table(
    model: DamageModel,
    shape: LayerShape,
    ranges: Ranges,
    gradient: float,
    *,
    check: int,
    seed: int,
    divergence_of: Callable[[Tensor], float] | None = None,
) -> LayerTable:
    """Predict all settings in range and keep those that are worth choosing.

    Args:
        model: the layer's damage model.
        shape: the layer's.
        ranges: what may be chosen.
        gradient: see `LayerTable`.
        check: how many settings are projected to compare (0 for none).
        seed: draws them.
        divergence_of: measures the network's divergence at a weight of this layer; None for none.
    """
    chooser = random.Random(seed)
    parts, drawn = [], []
    for block in grid(shape, ranges):
        if not len(block):
            continue
        bits = bits_of(block, shape)
        damage = _rounded(model.predict(block))
        best = unbeaten(bits, damage)
        parts.append((block[best], bits[best], damage[best]))
        some = chooser.sample(range(len(block)), min(check, len(block)))
        drawn += [(block[i], float(damage[i])) for i in some]
    settings, bits, damage = (np.concatenate(column) for column in zip(*parts, strict=True))
    best = unbeaten(bits, damage)
    drawn = chooser.sample(drawn, min(check, len(drawn)))
    divergence = np.zeros(len(best))
    if divergence_of is not None:
        divergence = _divergence(model, settings[best], damage[best], divergence_of)
    return LayerTable(
        shape,
        settings[best],
        bits[best],
        damage[best],
        divergence=divergence,
        energy=model.energy,
        gradient=gradient,
        rank_correlation=rank_correlation(
            [damage for _, damage in drawn], [model.measure(setting_of(row)) for row, _ in drawn]
        ),
        checked=len(drawn),
    )


def _divergence(
    model: DamageModel,
    settings: Settings,
    damage: Damages,
    divergence_of: Callable[[Tensor], float],
) -> Damages:
    """Measure at a few settings of a list, by descending damage, and interpolate over damage."""
    chosen = sorted({int(np.abs(damage - level).argmin()) for level in LEVELS}, reverse=True)
    measured = [divergence_of(model.recovered(setting_of(settings[i]))) for i in chosen]
    at = np.concatenate([[0.0], damage[chosen]])  # ascending
    found = np.maximum.accumulate(np.concatenate([[0.0], measured]))
    return _rounded(np.interp(damage, at, found))


def rank_correlation(first: list[float], second: list[float]) -> float | None:
    """Return Spearman's rank correlation, ties at their mean rank; None of fewer than 4 pairs.

    It is also None where all values of one side are equal.
    """
    if len(first) < _LEAST_CHECKED:
        return None
    ranks = [_ranks(np.array(values)) for values in (first, second)]
    if not all(r.std() for r in ranks):
        return None
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends: NDArray[np.float64] = np.cumsum(counts) - (counts - 1) / 2
    return ends[places]


def _rounded(damage: Damages) -> Damages:
    """Round to some digits, whatever the size; below 1e-12 to nothing."""
    places = _DIGITS - 1 - np.floor(np.log10(np.maximum(damage, 1e-12)))
    # Powers of ten with a positive exponent are exact, so the quotient is the nearest number.
    scale = 10.0 ** np.maximum(places, 0)
    rounded: Damages = np.round(damage * scale) / scale
    return np.where(damage > 1e-12, rounded, 0.0)
