"""What is chosen for a byte budget, before any training."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlgsearch.api.frames import frame
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.records import Sizes
from mlgsearch.train.spec import QuantisationSpec

if TYPE_CHECKING:
    from pandas import DataFrame

_NUMBERS = ("B_in", "B_out", "q_basis", "q_coeff_in", "q_coeff_out")


@dataclass(frozen=True)
class Plan:
    """A setting for every layer, chosen for a budget, and what is known of the student before.

    ``packed_bytes`` is the exact size of its packed file. ``damage`` is the weighted mean over the
    layers of ``layer_damage``, the predicted relative error of a layer's outputs before training:
    smaller is better. ``sizes`` is what the paper counts.
    """

    settings: Mapping[str, LayerSetting]
    packed_bytes: int
    damage: float
    layer_damage: Mapping[str, float]
    sizes: Sizes
    input_shape: tuple[int, int, int]
    quantisation: QuantisationSpec

    def layers(self) -> "DataFrame":
        """Return a row per layer: its setting and its predicted damage."""
        rows = [
            {
                "layer": name,
                **dict(zip(_NUMBERS, setting.five, strict=True)),
                "damage": self.layer_damage[name],
            }
            for name, setting in self.settings.items()
        ]
        return frame(rows, index="layer")
