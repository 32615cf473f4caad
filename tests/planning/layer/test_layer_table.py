import numpy as np
import pytest

from mlgsearch.mlg.kinds import compressible_layers
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.planning.layer.damage import DamageModel
from mlgsearch.planning.layer.grid import grid, setting_of
from mlgsearch.planning.layer.layer_table import (
    LayerTable,
    fixed_table,
    layer_table,
    rank_correlation,
)
from tests.planning.samples import RANGES, moments, shape, trained

LAYERS = ("layer1.0.conv1", "layer2.0.conv2", "layer3.0.shortcut.0", "layer3.0.conv2", "fc")


def a_model(name: str) -> DamageModel:
    weight = compressible_layers(trained())[name].weight
    return DamageModel(weight, moments()[name].channels, shape().layers[name], RANGES, "dorefa", 3)


def a_table(name: str, check: int = 0) -> LayerTable:
    return layer_table(a_model(name), shape().layers[name], RANGES, 1.5, check=check, seed=0)


@pytest.mark.parametrize("name", LAYERS)
def test_the_list_has_what_nothing_beats(name: str) -> None:
    table, layer = a_table(name), shape().layers[name]
    assert (np.diff(table.bits) > 0).all()
    assert (np.diff(table.damage) < 0).all()
    for i in range(len(table)):
        setting = table.setting(i)
        assert setting == setting.canonical(layer)
        assert table.bits[i] == setting.bits(layer)
    model = a_model(name)
    for block in grid(layer, RANGES):
        bits = np.array([setting_of(row).bits(layer) for row in block])
        at = np.searchsorted(table.bits, bits, side="right") - 1
        assert (at >= 0).all()
        assert (table.damage[at] <= model.predict(block) * 1.001).all()


@pytest.mark.parametrize("name", LAYERS)
def test_predictions_rank_settings_as_projection_does(name: str) -> None:
    table = a_table(name, check=20)
    assert table.checked == 20
    assert table.rank_correlation is not None
    assert table.rank_correlation > 0.9


def test_it_is_the_same_each_time_and_keeps_its_energy() -> None:
    first, again = a_table("fc", check=5), a_table("fc", check=5)
    np.testing.assert_array_equal(first.settings, again.settings)
    np.testing.assert_array_equal(first.damage, again.damage)
    assert first.rank_correlation == again.rank_correlation
    assert first.energy == a_model("fc").energy > 0
    assert first.gradient == 1.5


def test_damages_have_four_digits() -> None:
    assert all(d == float(f"{d:.3e}") for d in a_table("fc").damage)


def test_a_fixed_layer_has_one_choice_with_its_true_damage() -> None:
    layer = shape().layers["fc"]
    table = fixed_table(a_model("fc"), layer, LayerSetting(3, 99, 4, 2, 2), 0.0)
    assert [table.setting(i) for i in range(len(table))] == [LayerSetting.plain(4)]
    assert table.damage[0] == pytest.approx(a_model("fc").measure(LayerSetting.plain(4)), rel=1e-3)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([1, 2, 3, 4], [10, 20, 30, 40], 1.0),
        ([1, 2, 3, 4], [4, 3, 2, 1], -1.0),
        ([1, 2, 2, 4], [1, 3, 2, 4], 0.9486832980505138),  # SciPy's spearmanr
        ([1, 2, 3], [1, 2, 3], None),
        ([1, 1, 1, 1], [1, 2, 3, 4], None),
    ],
)
def test_rank_correlation(first: list[float], second: list[float], expected: float | None) -> None:
    assert rank_correlation(first, second) == (
        None if expected is None else pytest.approx(expected)
    )
