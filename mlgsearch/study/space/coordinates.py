"""What the coordinates of every kind of space have in common."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from optuna.distributions import BaseDistribution

from mlgsearch.mlg.half_norm import NormBits
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.study.file.search_spec import FirstTrial

#: One proposal's values by the names that Optuna and its tools show.
Parameters = dict[str, Any]

#: Whether settings of the searched layers keep a study's limits, at a width of normalisation.
Keeps = Callable[[Mapping[str, LayerSetting], NormBits], bool]


class Coordinates(ABC):
    """How Optuna's parameters mean the settings of layers, in one kind of space.

    Every kind is made of the file's ``SpaceSpec``, the ``SearchedLayers``, an ``Allocator`` (None
    where nothing is planned) and what says whether settings keep the limits (``Keeps``).
    ``distributions`` are the parameters that are searched.
    """

    distributions: dict[str, BaseDistribution]

    @abstractmethod
    def decode(self, parameters: Mapping[str, Any]) -> dict[str, LayerSetting]:
        """Turn coordinates into canonical settings, of the searched layers at least."""

    @abstractmethod
    def encode(self, first: FirstTrial, where: str) -> Parameters:
        """Return the coordinates of a setting that a study file asks for.

        Values may lie outside of their distributions: the caller looks.

        Raises:
            StudyFileError: the setting cannot be said in this kind of space.
        """

    def planned(self, count: int) -> list[Parameters]:
        """Return the coordinates of the planned front, smallest first; none where none can be."""
        assert not count, "the study file refuses what cannot be planned"
        return []

    def decided(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the hyperparameters that the kind decides (``SpaceKind.decides``)."""
        return {}

    def lowered(self, parameters: Parameters) -> Parameters | None:
        """Return coordinates of a slightly smaller network; None where there are none."""
        return None
