"""Which layers of a study's network cost accuracy, and which are free."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mlgsearch.planning.layer.layer_table import LayerTable
from mlgsearch.planning.network_tables import Tables
from mlgsearch.planning.weighting import layer_weights
from mlgsearch.results.analysis.effects.trial_sensitivity import LayerCost
from mlgsearch.train.files.size_report import layer_kind

#: A damage that training repairs as a rule, and shares of a layer's own 32 bits to look at.
_MENDED = 0.1
_TIGHT, _WIDE = 0.02, 0.05


@dataclass(frozen=True)
class LayerSensitivity:
    """One layer, before training and in a study's trials.

    ``share`` is that of the network's weights. ``damage_at_2_percent`` is the least predicted
    damage where the layer takes at most 0.02 of its weight at 32 bits (``_5_`` likewise), None
    where it cannot be that small. ``ratio_for_10_percent`` is the least memory ratio of the layer
    at which a tenth of its output is lost, None where even the largest loses more: small is free.
    ``fisher`` is its weight by a Fisher estimate, 1 on average. The last three are
    `LayerCost`'s, None without trials.
    """

    layer: str
    kind: str
    weights: int
    share: float
    damage_at_2_percent: float | None
    damage_at_5_percent: float | None
    ratio_for_10_percent: float | None
    fisher: float
    rank_correlation: float | None
    trial_loss: float | None = None
    trial_cost: float | None = None
    trial_error: float | None = None


def sensitivities(tables: Tables, costs: Mapping[str, LayerCost]) -> list[LayerSensitivity]:
    """Return every layer, most expensive first: by the trials' costs, else by the bits needed."""
    fisher = layer_weights(tables, "fisher")
    total = sum(table.shape.weight_numel for table in tables.layers.values())
    rows = []
    for name, table in tables.layers.items():
        weights = table.shape.weight_numel
        cost = costs.get(name)
        rows.append(
            LayerSensitivity(
                layer=name,
                kind=layer_kind(table.shape),
                weights=weights,
                share=weights / total,
                damage_at_2_percent=_damage_at(table, _TIGHT),
                damage_at_5_percent=_damage_at(table, _WIDE),
                ratio_for_10_percent=_ratio_for(table, _MENDED),
                fisher=fisher[name],
                rank_correlation=table.rank_correlation,
                trial_loss=None if cost is None else cost.loss,
                trial_cost=None if cost is None else cost.cost,
                trial_error=None if cost is None else cost.error,
            )
        )
    return sorted(rows, key=lambda row: (-(row.trial_cost or 0.0), -_needed(row)))


def _damage_at(table: LayerTable, ratio: float) -> float | None:
    fits = np.flatnonzero(table.bits <= 32 * table.shape.weight_numel * ratio)
    return float(table.damage[fits[-1]]) if len(fits) else None


def _ratio_for(table: LayerTable, damage: float) -> float | None:
    enough = np.flatnonzero(table.damage <= damage)
    if not len(enough):
        return None
    return float(table.bits[enough[0]]) / (32 * table.shape.weight_numel)


def _needed(row: LayerSensitivity) -> float:
    return 1.0 if row.ratio_for_10_percent is None else row.ratio_for_10_percent
