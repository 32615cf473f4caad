"""The damage model: what a setting does to a layer, predicted without projecting anything.

Damage is the energy of the recovered weight's error in the metric of the layer's inputs, as a
fraction of the weight's own energy: 0 is unharmed, 1 is as bad as no weight at all.
"""

from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlgsearch.mlg.factoring.factors import Factors
from mlgsearch.mlg.factoring.projection import project
from mlgsearch.mlg.quantise import Method, make_quantiser
from mlgsearch.mlg.setting import LayerSetting, LayerShape
from mlgsearch.planning.layer.grid import Ranges, Settings
from mlgsearch.planning.layer.levels import REFINED, UNREFINED, BothLevels, Level1Only, Level2Only
from mlgsearch.planning.layer.metric import InputMetric
from mlgsearch.planning.layer.truncation import Rows

Damages = NDArray[np.float64]


class DamageModel:
    """Predicts and measures the damage of one layer's settings.

    Args of the constructor:
        weight: the trained weight.
        channels: second moment of the inputs, (groups, C_in, C_in).
        shape: the layer's.
        ranges: the settings that will be asked for.
        method, refine_steps: of the projection that is predicted.
    """

    def __init__(
        self,
        weight: Tensor,
        channels: Tensor,
        shape: LayerShape,
        ranges: Ranges,
        method: Method,
        refine_steps: int,
    ):
        self._weight = weight.detach().to("cpu")
        self._shape = shape
        self._ranges = ranges
        self._widths = ranges.widths()
        self._method = method
        self._refine_steps = refine_steps
        self._left = REFINED if refine_steps else UNREFINED
        self._metric = InputMetric(channels, shape)
        self.energy = self._metric.energy(self._weight)
        self._white = self._metric.mean_variance() * shape.weight_numel

    def predict(self, settings: Settings) -> Damages:
        """Return the damage of canonical settings in range, (n, 5) to (n,)."""
        error = np.zeros(len(settings))
        if not self.energy:
            return error
        has_level1, has_level2 = settings[:, 0] > 0, settings[:, 1] > 0
        plain = ~has_level1 & ~has_level2
        for bits in np.unique(settings[plain, 2]):
            error[plain & (settings[:, 2] == bits)] = self._plain_error(int(bits))
        if (chosen := has_level1 & has_level2).any():
            error[chosen] = self._both.error(settings[chosen])
        if (chosen := has_level1 & ~has_level2).any():
            error[chosen] = self._level1.error(settings[chosen])
        if (chosen := ~has_level1 & has_level2).any():
            error[chosen] = self._level2.error(settings[chosen])
        # Cumulative sums that should cancel leave a trace of rounding.
        return np.maximum(error, 0.0) / self.energy

    def measure(self, setting: LayerSetting) -> float:
        """Return the true damage of a canonical setting."""
        if not self.energy:
            return 0.0
        return self._metric.energy(self._weight - self.recovered(setting)) / self.energy

    def recovered(self, setting: LayerSetting) -> Tensor:
        """Return the weight that a canonical setting gives, projected onto quantised factors."""
        quantisers = {
            name: make_quantiser(self._method, getattr(setting, f"q_{name}"))
            for name in setting.factor_shapes(self._shape)
        }
        latents = project(
            self._weight,
            setting,
            self._shape,
            quantisers,
            self._refine_steps,
            truncated=self._truncated(setting),
        ).latents
        with torch.no_grad():
            values = {name: quantisers[name](latent) for name, latent in latents.items()}
            return Factors(setting, **values).weight(self._shape.canonical_shape)

    @torch.no_grad()
    def _plain_error(self, bits: int) -> float:
        quantiser = make_quantiser(self._method, bits)
        return self._metric.energy(quantiser(quantiser.fit(self._weight)) - self._weight)

    def _truncated(self, setting: LayerSetting) -> dict[str, Tensor] | None:
        """Return the factors that projection begins with, where it would have to find them."""
        if setting.is_plain:
            return None
        rows = self._rows if setting.base_out else self._own_rows
        return rows.truncated(setting)

    @cached_property
    def _rows(self) -> Rows:
        return Rows.of_basis(self._weight, self._metric, self._shape)

    @cached_property
    def _own_rows(self) -> Rows:
        return Rows.of_weight(self._weight, self._metric, self._shape)

    @cached_property
    def _both(self) -> BothLevels:
        return BothLevels(
            self._rows,
            self._shape,
            self._white,
            self._widths,
            self._method,
            self._left,
            (self._most_in, self._most_out),
        )

    @cached_property
    def _level1(self) -> Level1Only:
        return Level1Only(
            self._own_rows, self._shape, self._white, self._widths, self._method, self._most_in
        )

    @cached_property
    def _level2(self) -> Level2Only:
        return Level2Only(
            self._rows,
            self._shape,
            self._white,
            self._widths,
            self._method,
            self._left,
            self._most_out,
        )

    @property
    def _most_in(self) -> int:
        return min(self._ranges.base_in[1], self._shape.level1_bound - 1)

    @property
    def _most_out(self) -> int:
        return min(self._ranges.base_out[1], self._shape.level2_bound - 1)
