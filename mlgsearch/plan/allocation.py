"""A byte budget spread over the layers of a network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mlgsearch.errors import BudgetError
from mlgsearch.mlg.half_norm import NormBits
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.plan.knapsack import Knapsack
from mlgsearch.plan.tables import Tables
from mlgsearch.plan.weighting import layer_costs

#: A network whose layers lose so little in the mean is trained to its teacher's accuracy: larger
#: budgets are not planned.
UNHARMED = 0.03

#: A network that has lost so much in the mean is not worth a planned trial.
HOPELESS = 0.5

#: How far about a layer's bits the slope of its list is taken.
_STEP = 1.5

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
    """

    def __init__(
        self,
        tables: Tables,
        *,
        weighting: str = "relative",
        norm_bits: Sequence[NormBits] = (32,),
    ):
        self.tables = tables
        self._costs = layer_costs(tables, weighting)
        self.norm_bits = sorted(norm_bits)
        self._plain = self._knapsack({})

    @property
    def smallest(self) -> int:
        """The bits of the smallest network in range."""
        return self._plain.smallest

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
        knapsack = self._knapsack(gains) if gains and any(gains.values()) else self._plain
        picks = knapsack.choose(bits).picks
        return self._allocation(dict(zip(self.tables.layers, picks, strict=False)), picks[-1])

    def front(self, count: int, bits: tuple[int, int] | None = None) -> list[Allocation]:
        """Give the planned front, smallest first: budgets spread evenly by ratio.

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
        """Give the bits of the smallest network, and those at which damage is negligible."""
        return self.smallest, self.bits_at(UNHARMED)

    def bits_at(self, damage: float) -> int:
        """Give about the least budget whose mean damage is at most this, within a hundredth.

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
        """Give the gains at which the plan spreads its bits most as these settings do.

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

    def _knapsack(self, gains: Mapping[str, float]) -> Knapsack:
        lists = []
        for name, table in self.tables.layers.items():
            lists.append((table.bits, np.exp(gains.get(name, 0.0)) * self._costs[name]))
        norm = np.array(
            [(self._norm_size(bits), self.tables.norm_damage[bits]) for bits in self.norm_bits]
        )
        if len(norm) > 1 and not (np.diff(norm, axis=0) * (1, -1) > 0).all():
            norm = norm[:1]  # more bits change nothing
        fixed = 32 * self.tables.shape.other_parameters
        lists.append((norm[:, 0].astype(np.int64) + fixed, norm[:, 1]))
        return Knapsack(lists)

    def _norm_size(self, bits: NormBits) -> int:
        shape = self.tables.shape
        return 32 * shape.norm_parameters - (32 - bits) * shape.half_norm_parameters

    def layer_damage(self, settings: Mapping[str, LayerSetting]) -> dict[str, float]:
        """Give the predicted damage of each layer's setting, which must be one of its list."""
        damages = {}
        for name, table in self.tables.layers.items():
            (found,) = np.flatnonzero((table.settings == settings[name].five).all(1))
            damages[name] = float(table.damage[found])
        return damages

    def binding(self) -> str:
        """Say which layers take most of the smallest network."""
        least = {name: int(table.bits[0]) for name, table in self.tables.layers.items()}
        least["normalisation"] = self._norm_size(self.norm_bits[0])
        least["what is not compressed"] = 32 * self.tables.shape.other_parameters
        largest = sorted(least, key=lambda name: -least[name])[:_NAMED]
        binding = ", ".join(f"{name} {_kilobytes(least[name])} kB" for name in largest)
        return f"the layers that bind, at their smallest: {binding}"

    def _too_small(self, bits: int) -> str:
        return (
            f"a budget of {_kilobytes(bits)} kB cannot be met: the smallest network in range has "
            f"{_kilobytes(self.smallest)} kB; {self.binding()}"
        )


def _kilobytes(bits: int) -> str:
    return f"{bits / 8000:.3g}"
