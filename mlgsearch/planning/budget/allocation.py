"""A byte budget spread over the layers of a network."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from mlgsearch.errors import BudgetError
from mlgsearch.mlg.half_norm import NormBits
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.planning.budget.exchange import Options, exchanged
from mlgsearch.planning.budget.knapsack import Knapsack
from mlgsearch.planning.budget.prices import OutOfReachError, Picks, kept, kept_picks, repaired
from mlgsearch.planning.budget.resources import LayerSum, Resource, resources_of
from mlgsearch.planning.network_tables import Tables
from mlgsearch.planning.weighting import layer_costs

#: A network whose layers lose so little in the mean is trained to its teacher's accuracy: larger
#: budgets are not planned.
UNHARMED = 0.03

#: A network that has lost so much in the mean is not worth a planned trial.
HOPELESS = 0.5

#: How far about a layer's bits the slope of its list is taken.
_STEP = 1.5

#: So many of the choices that keep all limits, the best, are improved.
_IMPROVED = 4

#: How many layers an error about a budget names.
_NAMED = 3


@dataclass(frozen=True)
class Allocation:
    """A whole network's settings, and what is predicted of them.

    ``bits`` are those of ``mlgsearch.mlg.network.network_sizes``; ``damage`` is the mean of the
    layers' costs (see ``layer_costs``), without gains: smaller is better.
    """

    settings: dict[str, LayerSetting]
    norm_bits: NormBits
    bits: int
    damage: float


class Allocator:
    """Chooses every layer's setting for a budget, so that the summed damage is least.

    Args of the constructor:
        tables: the layers' lists.
        weighting: how layers weigh against each other: a key of ``WEIGHTINGS``, or ``measured``
            where the tables were measured.
        norm_bits: the widths that normalisation may be stored at; it is chosen like a layer's.
        limits: what the network may be at most, by objective: ``memory_ratio``, or one of
            ``SUMS`` or ``sums``; others are not looked at.
        sums: further objectives that are sums over the layers.

    Raises:
        BudgetError: no network in range keeps the limits.
    """

    def __init__(
        self,
        tables: Tables,
        *,
        weighting: str = "relative",
        norm_bits: Sequence[NormBits] = (32,),
        limits: Mapping[str, float] | None = None,
        sums: Mapping[str, LayerSum] | None = None,
    ):
        self.tables = tables
        self._costs = layer_costs(tables, weighting)
        self._bits = {name: table.bits for name, table in tables.layers.items()}
        self.norm_bits = sorted(norm_bits)
        self._resources = resources_of(tables, limits or {}, sums)
        self._plain, _ = self._knapsack({})
        for resource in self._resources:
            if resource.least > resource.most:
                least = {name: int(uses.argmin()) for name, uses in resource.uses.items()}
                raise BudgetError(self._too_much(resource, least))
        full = 32 * tables.shape.full_parameters
        ratio = (limits or {}).get("memory_ratio", math.inf)
        #: The largest budget that keeps a limit of memory.
        self.most_bits = self._plain.largest if ratio == math.inf else math.floor(ratio * full)
        if self.most_bits < self.smallest:
            raise BudgetError(self._too_small(self.most_bits))

    @cached_property
    def smallest(self) -> int:
        """The bits of the smallest network in range that keeps the limits.

        Raises:
            BudgetError: none does.
        """
        low, high = self._plain.smallest, self._plain.largest
        if self._is_possible(low):
            return low
        self._within(high, {})  # says why there is none
        while high - low > max(1, low // 1000):
            middle = (low + high) // 2
            if self._is_possible(middle):
                high = middle
            else:
                low = middle
        return high

    @property
    def largest(self) -> int:
        """The bits of the network with the least damage."""
        return self._plain.largest

    def allocate(self, bits: int, gains: Mapping[str, float] | None = None) -> Allocation:
        """Spend a budget.

        Args:
            bits: what the network may take in all.
            gains: by layer, natural logarithms of factors on its damage: a layer with a positive
                gain gets more of the budget. Layers that are not named have 0.

        Raises:
            BudgetError: no network in range is that small.
        """
        if bits < self.smallest:
            raise BudgetError(self._too_small(bits))
        return self._allocation(*self._within(bits, gains or {}))

    def _is_possible(self, bits: int) -> bool:
        if kept(self._priced(bits, {}, ())[0], self._resources):
            return True
        try:
            return next(self._keeping(bits, {}), None) is not None
        except BudgetError:
            return False

    def _within(self, bits: int, gains: Mapping[str, float]) -> tuple[dict[str, int], int]:
        """Choose within a budget and the limits: each layer's option, and normalisation's.

        A limit gets a price for each unit of what it limits (see ``prices``). What breaks some by
        little has single layers changed until all are kept; the best then spends what they leave.
        """
        found = self._priced(bits, gains, ())
        if kept(found[0], self._resources):
            return found
        candidates = sorted(self._keeping(bits, gains), key=lambda each: self._cost(each, gains))
        if not candidates:
            names = ", ".join(resource.name for resource in self._resources)
            raise BudgetError(
                f"the limits of {names} cannot all be kept within {_kilobytes(bits)} KB"
            )
        improved = [self._improved(*each, bits, gains) for each in candidates[:_IMPROVED]]
        return min(improved, key=lambda each: self._cost(each, gains))

    def _keeping(self, bits: int, gains: Mapping[str, float]) -> Iterator[Picks]:
        """Yield choices within a budget that keep all limits, each once.

        Raises:
            BudgetError: a limit cannot be kept within the budget.
        """
        worst = sum(float(costs.max()) for costs in self._costs.values())
        seen: set[tuple[int, ...]] = set()
        try:
            for picks, norm_pick in kept_picks(
                partial(self._priced, bits, gains), self._resources, worst
            ):
                key = (*picks.values(), norm_pick)
                if key in seen:
                    continue
                seen.add(key)
                room = bits - self._allocation(picks, norm_pick).bits
                found = repaired(picks, self._resources, self._costs, self._bits, room)
                if found is not None:
                    yield found, norm_pick
        except OutOfReachError as error:
            raise BudgetError(self._too_much(error.resource, error.picks, bits)) from None

    def _cost(self, found: Picks, gains: Mapping[str, float]) -> float:
        picks, norm_pick = found
        layers = sum(
            float(np.exp(gains.get(name, 0.0)) * self._costs[name][pick])
            for name, pick in picks.items()
        )
        return layers + self.tables.norm_damage[self.norm_bits[norm_pick]]

    def _improved(
        self, picks: dict[str, int], norm_pick: int, bits: int, gains: Mapping[str, float]
    ) -> tuple[dict[str, int], int]:
        """Spend what prices left of budget and limits."""
        options = {
            name: Options(
                np.exp(gains.get(name, 0.0)) * self._costs[name],
                np.column_stack(
                    [table.bits, *(resource.uses[name] for resource in self._resources)]
                ),
            )
            for name, table in self.tables.layers.items()
        }
        left = bits - self._allocation(picks, norm_pick).bits
        slack = [resource.most - resource.used(picks) for resource in self._resources]
        return exchanged(picks, options, np.array([left, *slack])), norm_pick

    def _priced(
        self, bits: int, gains: Mapping[str, float], prices: Sequence[float]
    ) -> tuple[dict[str, int], int]:
        if any(prices) or any(gains.values()):
            knapsack, kept = self._knapsack(gains, prices)
        else:
            knapsack, kept = self._plain, None
        *picks, norm_pick = knapsack.choose(bits).picks
        named = dict(zip(self.tables.layers, picks, strict=True))
        if kept is not None:
            named = {name: int(kept[name][pick]) for name, pick in named.items()}
        return named, norm_pick

    def front(self, count: int, bits: tuple[int, int] | None = None) -> list[Allocation]:
        """Return the planned front, smallest first: budgets spread evenly by ratio.

        Args:
            count: how many; fewer come where neighbours are the same.
            bits: the lowest and the highest budget; without it from the smallest network to where
                the mean damage falls below ``UNHARMED``.

        Raises:
            BudgetError: no network in range is as small as the highest budget.
        """
        low, high = bits or self.useful_span()
        if high < self.smallest:
            raise BudgetError(self._too_small(high))
        low = max(low, self.smallest)
        budgets = np.geomspace(low, max(low, high), count)
        found = [self.allocate(max(self.smallest, round(float(budget)))) for budget in budgets]
        return [a for i, a in enumerate(found) if i == 0 or a.bits != found[i - 1].bits]

    def useful_span(self) -> tuple[int, int]:
        """Return the bits of the smallest network, and those at which damage is negligible."""
        return self.smallest, min(self.bits_at(UNHARMED), self.most_bits)

    def bits_at(self, damage: float) -> int:
        """Return about the least budget whose mean damage is at most this, within a hundredth.

        Where no budget does, it is the one with the least damage.
        """
        low, high = self.smallest, self.largest
        most = max(damage, 1.001 * self.allocate(high).damage)
        if self.allocate(low).damage <= most:
            return low
        while high - low > max(1, low // 100):
            middle = (low + high) // 2
            if self.allocate(middle).damage > most:
                low = middle
            else:
                high = middle
        return high

    def gains_towards(self, settings: Mapping[str, LayerSetting]) -> dict[str, float]:
        """Return the gains at which the plan spreads its bits most as these settings do.

        A plan spends where a bit saves most; so a layer that has more bits than that, and saves
        little by the last of them, must have a gain. Savings are read off the lists between two
        thirds and three halves of a layer's bits. The mean of the gains is 0.
        """
        savings = {}
        for name, table in self.tables.layers.items():
            bits = settings[name].canonical(table.shape).bits(table.shape)
            span = np.array([bits / _STEP, bits * _STEP])
            less, more = np.interp(span, table.bits, self._costs[name])
            saving = (less - more) / (span[1] - span[0])
            savings[name] = float(np.log(max(saving, 1e-30)))
        mean = sum(savings.values()) / len(savings)
        return {name: mean - saving for name, saving in savings.items()}

    def _allocation(self, picks: Mapping[str, int], norm_pick: int) -> Allocation:
        layers = self.tables.layers
        norm_bits = self.norm_bits[norm_pick]
        return Allocation(
            {name: table.setting(picks[name]) for name, table in layers.items()},
            norm_bits,
            sum(int(table.bits[picks[name]]) for name, table in layers.items())
            + self._norm_size(norm_bits)
            + 32 * self.tables.shape.other_parameters,
            sum(float(self._costs[name][picks[name]]) for name in layers) / len(layers),
        )

    def _knapsack(
        self, gains: Mapping[str, float], prices: Sequence[float] = ()
    ) -> tuple[Knapsack, dict[str, NDArray[np.int64]]]:
        """Return the knapsack under gains and prices, and which options each list still has."""
        lists, kept = [], {}
        for name, table in self.tables.layers.items():
            cost = np.exp(gains.get(name, 0.0)) * self._costs[name]
            for resource, price in zip(self._resources, prices, strict=bool(prices)):
                cost = cost + price * resource.uses[name]
            before = np.minimum.accumulate(np.concatenate([[np.inf], cost[:-1]]))
            kept[name] = np.flatnonzero(cost < before)
            lists.append((table.bits[kept[name]], cost[kept[name]]))
        norm = np.array(
            [(self._norm_size(bits), self.tables.norm_damage[bits]) for bits in self.norm_bits]
        )
        if len(norm) > 1 and not (np.diff(norm, axis=0) * (1, -1) > 0).all():
            norm = norm[:1]  # more bits change nothing
        fixed = 32 * self.tables.shape.other_parameters
        lists.append((norm[:, 0].astype(np.int64) + fixed, norm[:, 1]))
        return Knapsack(lists), kept

    def _norm_size(self, bits: NormBits) -> int:
        shape = self.tables.shape
        return 32 * shape.norm_parameters - (32 - bits) * shape.half_norm_parameters

    def layer_damage(self, settings: Mapping[str, LayerSetting]) -> dict[str, float]:
        """Return the predicted damage of each layer's setting, which must be one of its list."""
        damages = {}
        for name, table in self.tables.layers.items():
            (found,) = np.flatnonzero((table.settings == settings[name].five).all(1))
            damages[name] = float(table.damage[found])
        return damages

    def binding(self) -> str:
        """Return a text that names the layers that take most of the smallest network."""
        least = {name: int(table.bits[0]) for name, table in self.tables.layers.items()}
        least["normalisation"] = self._norm_size(self.norm_bits[0])
        least["what is not compressed"] = 32 * self.tables.shape.other_parameters
        largest = sorted(least, key=lambda name: -least[name])[:_NAMED]
        binding = ", ".join(f"{name} {_kilobytes(least[name])} KB" for name in largest)
        return f"the layers that bind, at their smallest: {binding}"

    def _too_much(
        self, resource: Resource, picks: Mapping[str, int], bits: int | None = None
    ) -> str:
        most = sorted(picks, key=lambda name: -resource.uses[name][picks[name]])[:_NAMED]
        binding = ", ".join(f"{name} {resource.uses[name][picks[name]]:.4g}" for name in most)
        within = "" if bits is None else f" within {_kilobytes(bits)} KB"
        return (
            f"{resource.name} cannot be {resource.limit:.4g}{within}: the smallest network in "
            f"range has {resource.limit - resource.most + resource.used(picks):.4g}; the layers "
            f"that bind, at their smallest: {binding}"
        )

    def _too_small(self, bits: int) -> str:
        return (
            f"a budget of {_kilobytes(bits)} KB cannot be met: the smallest network in range has "
            f"{_kilobytes(self.smallest)} KB; {self.binding()}"
        )


def _kilobytes(bits: int) -> str:
    return f"{bits / 8000:.3g}"
