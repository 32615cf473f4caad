import pytest

from mlgsearch.plan.tables import Tables
from mlgsearch.plan.weighting import WEIGHTINGS, layer_weights
from tests.plan.samples import tables


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
