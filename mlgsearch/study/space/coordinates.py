"""What the coordinates of every kind of space have in common."""

from collections.abc import Mapping
from typing import Any, Protocol

from optuna.distributions import BaseDistribution

from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.study.file.spec import FirstTrial

#: The paper's order, which is also the order in a study file and in a record.
NUMBERS = ("B_in", "B_out", "q_basis", "q_coeff_in", "q_coeff_out")

#: One proposal's values by the names that Optuna and its tools show.
Parameters = dict[str, Any]


class Coordinates(Protocol):
    """How Optuna's parameters mean the settings of layers, in one kind of space."""

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """The parameters that are searched."""

    def decode(self, parameters: Mapping[str, Any]) -> dict[str, LayerSetting]:
        """Turn coordinates into canonical settings, of the searched layers at least."""

    def encode(self, first: FirstTrial, where: str) -> Parameters:
        """Return the coordinates of a setting that a study file asks for.

        Values may lie outside of their distributions: the caller looks.

        Raises:
            StudyFileError: the setting cannot be said in this kind of space.
        """

    def planned(self, count: int) -> list[Parameters]:
        """Return the coordinates of the planned front, smallest first."""
