"""The uniform space: the paper's five global numbers."""

from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, IntDistribution

from mlgsearch.errors import StudyFileError
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.mlg.uniform import uniform_settings
from mlgsearch.planning.budget.allocation import Allocator
from mlgsearch.records import FIVE_NAMES
from mlgsearch.study.file.search_spec import FirstTrial
from mlgsearch.study.file.space_spec import SpaceSpec
from mlgsearch.study.space.coordinates import Coordinates, Keeps, Parameters
from mlgsearch.study.space.searched_layers import SearchedLayers


class UniformCoordinates(Coordinates):
    """Five parameters, named as in the paper."""

    def __init__(
        self, space: SpaceSpec, layers: SearchedLayers, _allocator: Allocator | None, _keeps: Keeps
    ):
        self._layers = layers
        self.distributions: dict[str, BaseDistribution] = {
            name: whole(name, *getattr(space, name)) for name in FIVE_NAMES
        }

    def decode(self, parameters: Mapping[str, Any]) -> dict[str, LayerSetting]:
        """Spread the five numbers over the network by the paper's rule."""
        five = LayerSetting(*(parameters[name] for name in FIVE_NAMES)).five
        return uniform_settings(self._layers.shape, five, head_bits=self._layers.head_bits)

    def encode(self, first: FirstTrial, where: str) -> Parameters:
        """Return the five numbers.

        Raises:
            StudyFileError: single layers have settings of their own.
        """
        if first.layers:
            raise StudyFileError(f"{where}.layers: needs space.kind: layerwise")
        return dict(zip(FIVE_NAMES, first.setting, strict=True))


def whole(number: str, low: int, high: int) -> IntDistribution:
    """Return the distribution of one of the five numbers."""
    # Ranks act by ratio: 4 to 8 bases is as large a step as 32 to 64.
    return IntDistribution(low, high, log=number == "B_out")
