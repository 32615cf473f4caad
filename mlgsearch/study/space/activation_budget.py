"""The coordinate of activations: a budget for their peak, which says the bits of every layer."""

import math
from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, FloatDistribution

from mlgsearch.errors import BudgetError, SettingError, StudyFileError
from mlgsearch.mlg.input_quantiser import InBits, bits_by_layer, parse_in_bits
from mlgsearch.planning.activation_bits import ActivationPlan

#: The hyperparameter of a trial that holds the bits of each layer.
IN_BITS = "quantisation.in_bits"

_BUDGET = "activation_kb"


class ActivationBudget:
    """``activation_kb``: the peak of activations in 1,000 bytes, spent with the least noise.

    Args of the constructor:
        plan: spends it.
        most_bytes: the limit; None for none.

    Raises:
        StudyFileError: the fewest bits do not keep the limit.
    """

    def __init__(self, plan: ActivationPlan, most_bytes: float | None) -> None:
        self._plan = plan
        self._low = plan.smallest
        most = math.inf if most_bytes is None else most_bytes
        self._high = math.floor(min(plan.largest, most))
        if self._high < self._low:
            try:
                plan.choose(self._high)
            except BudgetError as error:
                raise StudyFileError(f"limits: {error}") from None
        self.distributions: dict[str, BaseDistribution] = {
            _BUDGET: FloatDistribution(self._low / 1000, self._high / 1000, log=True)
        }

    @property
    def least(self) -> tuple[InBits, ...]:
        """The bits of each layer where the budget is the lowest."""
        return tuple(self._plan.choose(self._low).values())

    def in_bits(self, parameters: Mapping[str, Any]) -> tuple[InBits, ...]:
        """Return the bits of each layer's inputs, in the network's order."""
        return tuple(self._plan.choose(self._bytes(parameters[_BUDGET])).values())

    def budget_of(self, in_bits: float | int | str | None) -> dict[str, float]:
        """Return the budget that bits, as a trial's hyperparameters have them, come nearest to.

        It is the highest where none are given, or those of another network.
        """
        wanted = self._high
        if isinstance(in_bits, str):
            try:
                bits = bits_by_layer(parse_in_bits(in_bits), self._plan.names)
            except (SettingError, ValueError):
                pass
            else:
                wanted = self._plan.activations.peak_bytes(bits)
        return {_BUDGET: min(max(wanted, self._low), self._high) / 1000}

    def _bytes(self, budget_kb: float) -> int:
        return min(max(round(1000 * budget_kb), self._low), self._high)
