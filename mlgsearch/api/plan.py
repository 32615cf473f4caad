"""What is chosen for a byte budget, before any training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlgsearch.api.frames import frame
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.records import FIVE_NAMES, Sizes
from mlgsearch.study.space.packed_sizes import input_bits
from mlgsearch.train.spec import QuantisationSpec

if TYPE_CHECKING:
    from pandas import DataFrame

    from mlgsearch.api.words import Section


@dataclass(frozen=True)
class Plan:
    """A setting for every layer, chosen for a budget, and what is known of the student before.

    ``packed_bytes`` is the exact size of its packed file. ``damage`` is the weighted mean over the
    layers of ``layer_damage``, the predicted relative error of a layer's outputs before training:
    smaller is better. ``sizes`` is what the paper counts. ``peak_activation_bytes`` are the most
    bytes of activations that are alive at once, for one image. ``architecture``, ``mean`` and
    ``std`` are what the file says, as they were passed to `plan`.
    """

    settings: Mapping[str, LayerSetting]
    packed_bytes: int
    damage: float
    layer_damage: Mapping[str, float]
    sizes: Sizes
    peak_activation_bytes: int
    input_shape: tuple[int, int, int]
    quantisation: QuantisationSpec
    architecture: "str | Section | None" = None
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None

    def layers(self) -> "DataFrame":
        """Return a row per layer: its setting, the bits of its inputs, and its predicted damage."""
        bits = input_bits(self.settings, self.quantisation)
        rows = [
            {
                "layer": name,
                **dict(zip(FIVE_NAMES, setting.five, strict=True)),
                "in_bits": bits[name],
                "damage": self.layer_damage[name],
            }
            for name, setting in self.settings.items()
        ]
        return frame(rows, index="layer")
