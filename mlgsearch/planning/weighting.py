"""How layers weigh against each other: hypotheses, by name, to compare with trained accuracy.

A layer's damage is a fraction of its own energy. What the whole network suffers is taken to be the
weighted sum over its layers; since students are trained afterwards, which weights foretell their
accuracy is a question to measurements, not to theory.
"""

from collections.abc import Callable, Mapping
from math import log1p

from mlgsearch.planning.layer.damage import Damages
from mlgsearch.planning.layer.layer_table import LayerTable
from mlgsearch.planning.network_tables import Tables


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


#: Factors on a layer's damage. ``MEASURED`` is no factor: it looks at each setting.
WEIGHTINGS: Mapping[str, Callable[[LayerTable], float]] = {
    "relative": _relative,
    "absolute": _absolute,
    "log_energy": _log_energy,
    "fisher": _fisher,
}

#: Half of a cost is a layer's damage, half how far the network's answers move by it alone.
MEASURED = "measured"


def layer_weights(tables: Tables, weighting: str) -> dict[str, float]:
    """Return every layer's weight, 1 on average.

    Where a weighting gives nothing to any layer (no gradient arrived), all weigh 1.
    """
    weigh = WEIGHTINGS[weighting]
    weights = {name: weigh(table) for name, table in tables.layers.items()}
    total = sum(weights.values())
    if not total:
        return dict.fromkeys(weights, 1.0)
    return {name: len(weights) * weight / total for name, weight in weights.items()}


def layer_costs(tables: Tables, weighting: str) -> dict[str, Damages]:
    """Return what every setting of each layer's list costs the network, (n,), strictly descending.

    By a factor it is the layer's weight times its damage. ``measured`` is half the damage and half
    the divergence, which is scaled so that both come to the same sum where every layer is at its
    smallest. Damage alone gives a shortcut or a head no more than a branch that can be lost;
    divergence alone does not see that what one layer may lose, two may not.
    """
    if weighting != MEASURED:
        weights = layer_weights(tables, weighting)
        # Positive, so that a list stays strictly descending.
        return {
            name: max(weights[name], 1e-9) * table.damage for name, table in tables.layers.items()
        }
    chosen = [table for table in tables.layers.values() if len(table) > 1]
    divergence = sum(float(table.divergence[0]) for table in chosen)
    if not divergence:  # nothing was measured, or nothing moves
        return {name: table.damage for name, table in tables.layers.items()}
    scale = sum(float(table.damage[0]) for table in chosen) / divergence
    return {
        name: (table.damage + scale * table.divergence) / 2 for name, table in tables.layers.items()
    }
