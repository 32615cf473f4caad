"""The allocation space: a budget for the network, and a gain per layer that bends its spread."""

import math
from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, FloatDistribution

from mlgsearch.errors import BudgetError, StudyFileError
from mlgsearch.mlg.half_norm import NormBits
from mlgsearch.mlg.network import network_sizes
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.mlg.uniform import uniform_settings
from mlgsearch.planning.budget.allocation import HOPELESS, Allocation, Allocator
from mlgsearch.records import BUDGET_KB
from mlgsearch.study.file.hyperparameter import NORM_BITS
from mlgsearch.study.file.search_spec import FirstTrial
from mlgsearch.study.file.space_spec import SpaceSpec
from mlgsearch.study.space.coordinates import Coordinates, Keeps, Parameters
from mlgsearch.study.space.searched_layers import SearchedLayers

#: The largest gain, and minus the smallest: a layer's damage counts for 7.4 times as much at most.
MOST_GAIN = 2.0

#: What a budget that breaks a limit is lowered to at a time.
_STEP = 0.98


class AllocationCoordinates(Coordinates):
    """``budget_kb`` (1,000 bytes by the paper's count) and ``<layer>/gain``.

    A setting that a study file asks for need not be one that any budget
    leads to: it is given the coordinates near which the plan comes closest to it, and at exactly
    those it is meant itself.

    Raises:
        StudyFileError: no network in range is as small as the highest budget, or keeps the limits.
    """

    def __init__(
        self,
        space: SpaceSpec,
        layers: SearchedLayers,
        allocator: Allocator,
        keeps: Keeps,
    ):
        self._keeps = keeps
        self._layers = layers
        self._allocator = allocator
        tables = allocator.tables.layers
        self._gains = [name for name in layers.names if len(tables[name]) > 1]
        self._given: dict[tuple[float, ...], tuple[dict[str, LayerSetting], NormBits]] = {}
        self.distributions: dict[str, BaseDistribution] = {}
        low, high = self._span(space)
        self.distributions = {
            BUDGET_KB: FloatDistribution(low, high, log=True),
            **{_gain(name): FloatDistribution(-MOST_GAIN, MOST_GAIN) for name in self._gains},
        }

    def decode(self, parameters: Mapping[str, Any]) -> dict[str, LayerSetting]:
        """Spread the budget; see ``Allocator.allocate``."""
        given = self._given.get(self._place(parameters))
        return given[0] if given is not None else self._allocate(parameters).settings

    def decided(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the width of normalisation, the one hyperparameter that has a size."""
        given = self._given.get(self._place(parameters))
        return {NORM_BITS: given[1] if given is not None else self._allocate(parameters).norm_bits}

    def encode(self, first: FirstTrial, where: str) -> Parameters:
        """Return coordinates that mean this very setting, whatever the ranges are.

        Raises:
            StudyFileError: a layer that is not searched has a setting of its own.
        """
        self._layers.require_searched(first, where)
        shape = self._layers.shape
        settings = uniform_settings(
            shape, LayerSetting(*first.setting).five, head_bits=self._layers.head_bits
        )
        for name, five in first.layers.items():
            settings[name] = LayerSetting(*five).canonical(shape.layers[name])
        settings |= dict.fromkeys(self._layers.kept, LayerSetting.plain(32))
        wanted = first.hyperparameters.get(NORM_BITS)
        widths = self._allocator.norm_bits
        norm_bits = next((width for width in widths if width == wanted), max(widths))
        gains = self._allocator.gains_towards(settings)
        bits = network_sizes(shape, settings, norm_bits).bits
        parameters: Parameters = {BUDGET_KB: self._within(bits / 8000)} | {
            _gain(name): min(max(gains[name], -MOST_GAIN), MOST_GAIN) for name in self._gains
        }
        while self._place(parameters) in self._given:
            low = self._span_of(BUDGET_KB)[0]
            parameters[BUDGET_KB] = self._within(math.nextafter(parameters[BUDGET_KB], low))
        self._given[self._place(parameters)] = settings, norm_bits
        return parameters

    def planned(self, count: int) -> list[Parameters]:
        """Return the planned front without gains: budgets spread evenly by ratio, none hopeless."""
        if not count:
            return []
        low, high = (round(8000 * bound) for bound in self._span_of(BUDGET_KB))
        low = min(max(low, self._allocator.bits_at(HOPELESS)), high)
        front = self._allocator.front(count, (low, high))
        return [self._plain(self._within(found.bits / 8000)) for found in front]

    def lowered(self, parameters: Parameters) -> Parameters | None:
        """Lower the budget by a step; None where it is the lowest."""
        low = self._span_of(BUDGET_KB)[0]
        if parameters[BUDGET_KB] <= low:
            return None
        return {**parameters, BUDGET_KB: max(low, _STEP * parameters[BUDGET_KB])}

    def _allocate(self, parameters: Mapping[str, Any]) -> Allocation:
        gains = {name: parameters[_gain(name)] for name in self._gains}
        bits = round(8000 * parameters[BUDGET_KB])
        return self._allocator.allocate(max(bits, self._allocator.smallest), gains)

    def _span(self, space: SpaceSpec) -> tuple[float, float]:
        smallest = self._allocator.smallest / 8000
        if space.budget_kb is None:
            low, high = (bits / 8000 for bits in self._allocator.useful_span())
            # Two digits: another machine's rounding changes no range.
            return low, self._highest(low, max(low, _rounded_up(high)))
        low, high = space.budget_kb
        if high < smallest:
            try:
                self._allocator.allocate(round(8000 * high))
            except BudgetError as error:
                raise StudyFileError(f"space.budget_kb: {error}") from error
        low = max(low, smallest)
        return low, self._highest(low, high)

    def _highest(self, low: float, high: float) -> float:
        """Return the highest budget up to ``high`` whose plan keeps the limits, within a percent.

        Raises:
            StudyFileError: not even the lowest does.
        """

        def keeps(budget_kb: float) -> bool:
            found = self._allocate(self._plain(budget_kb))
            return self._keeps(found.settings, found.norm_bits)

        high = min(high, max(low, self._allocator.most_bits / 8000))
        if keeps(high):
            return high
        if not keeps(low):
            raise StudyFileError(
                f"limits: the smallest network in range breaks them; {self._allocator.binding()}"
            )
        while high > 1.01 * low:
            middle = math.sqrt(low * high)
            if keeps(middle):
                low = middle
            else:
                high = middle
        return low

    def _plain(self, budget_kb: float) -> Parameters:
        return {BUDGET_KB: budget_kb, **{_gain(name): 0.0 for name in self._gains}}

    def _span_of(self, name: str) -> tuple[float, float]:
        distribution = self.distributions[name]
        assert isinstance(distribution, FloatDistribution)
        return distribution.low, distribution.high

    def _within(self, budget_kb: float) -> float:
        low, high = self._span_of(BUDGET_KB)
        return min(max(budget_kb, low), high)

    def _place(self, parameters: Mapping[str, Any]) -> tuple[float, ...]:
        return (parameters[BUDGET_KB], *(parameters[_gain(name)] for name in self._gains))


def _gain(layer: str) -> str:
    return f"{layer}/gain"


def _rounded_up(value: float) -> float:
    scale = 10.0 ** (math.floor(math.log10(value)) - 1)
    return math.ceil(value / scale) * scale
