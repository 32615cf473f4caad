"""How layers weigh against each other: hypotheses, by name, to compare with trained accuracy.

A layer's damage is a fraction of its own energy. What the whole network suffers is taken to be the
weighted sum over its layers; since students are trained afterwards, which weights foretell their
accuracy is a question to measurements, not to theory.
"""

from collections.abc import Callable, Mapping
from math import log1p

from mlgsearch.plan.layer_table import LayerTable
from mlgsearch.plan.tables import Tables


def _relative(table: LayerTable) -> float:
    """All layers alike."""
    return 1.0


def _absolute(table: LayerTable) -> float:
    """The squared error of the layer's output, over one sample's positions and channels."""
    return table.energy * table.shape.out_positions


def _log_energy(table: LayerTable) -> float:
    """Strong outputs count more, but only by the logarithm of a channel's mean square."""
    return log1p(table.energy / table.shape.c_out)


def _fisher(table: LayerTable) -> float:
    """The loss's second-order change if errors were independent over positions and channels."""
    return table.energy * table.gradient


#: The first is the default.
WEIGHTINGS: Mapping[str, Callable[[LayerTable], float]] = {
    "relative": _relative,
    "absolute": _absolute,
    "log_energy": _log_energy,
    "fisher": _fisher,
}


def layer_weights(tables: Tables, weighting: str) -> dict[str, float]:
    """Give every layer's weight, 1 in the mean.

    Where a weighting gives nothing to any layer (no gradient arrived), all weigh 1.
    """
    weigh = WEIGHTINGS[weighting]
    weights = {name: weigh(table) for name, table in tables.layers.items()}
    total = sum(weights.values())
    if not total:
        return dict.fromkeys(weights, 1.0)
    return {name: len(weights) * weight / total for name, weight in weights.items()}
