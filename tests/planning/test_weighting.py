import numpy as np
import pytest

from mlgsearch.planning.network_tables import Tables
from mlgsearch.planning.weighting import MEASURED, WEIGHTINGS, layer_costs, layer_weights
from tests.planning.samples import measured_tables, tables


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_weights_are_positive_and_one_in_the_mean(weighting: str) -> None:
    weights = layer_weights(tables(), weighting)
    assert list(weights) == list(tables().layers)
    assert all(weight > 0 for weight in weights.values())
    assert sum(weights.values()) == pytest.approx(len(weights))


def test_the_first_treats_all_layers_alike() -> None:
    assert set(layer_weights(tables(), next(iter(WEIGHTINGS))).values()) == {1.0}


def test_they_differ() -> None:
    first_two = {
        weighting: tuple(layer_weights(tables(), weighting).values()) for weighting in WEIGHTINGS
    }
    assert len(set(first_two.values())) == len(WEIGHTINGS)


def test_costs_are_strictly_descending_and_alike_in_scale() -> None:
    for weighting in (*WEIGHTINGS, MEASURED):
        costs = layer_costs(measured_tables(), weighting)
        assert all((np.diff(cost) < 0).all() for cost in costs.values())
    layers = measured_tables().layers
    damage = sum(float(table.damage[0]) for table in layers.values())
    costs = layer_costs(measured_tables(), MEASURED)
    assert sum(float(cost[0]) for cost in costs.values()) == pytest.approx(damage)


def test_measured_costs_are_the_damages_where_nothing_was_measured() -> None:
    costs = layer_costs(tables(), MEASURED)
    for name, table in tables().layers.items():
        np.testing.assert_array_equal(costs[name], table.damage)


def test_fisher_weighs_what_moves_the_loss() -> None:
    weights = layer_weights(tables(), "fisher")
    name, other = list(weights)[:2]
    first, second = tables().layers[name], tables().layers[other]
    expected = first.energy * first.gradient / (second.energy * second.gradient)
    assert weights[name] / weights[other] == pytest.approx(expected)


def test_without_gradients_fisher_treats_all_alike() -> None:
    layers = {
        name: type(table)(table.shape, table.settings, table.bits, table.damage)
        for name, table in tables().layers.items()
    }
    none = Tables(tables().shape, layers, tables().norm_damage)
    assert set(layer_weights(none, "fisher").values()) == {1.0}
