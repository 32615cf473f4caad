from itertools import product

import numpy as np
import pytest

from mlgsearch.mlg.setting import LayerSetting, LayerShape
from mlgsearch.planning.layer.grid import Ranges, bits_of, grid, setting_of
from tests.study.samples import MIXED

NARROW = Ranges((1, 3), (2, 9), (2, 3), (4, 5), (3, 4))


def listed(shape: LayerShape, ranges: Ranges) -> list[LayerSetting]:
    return [setting_of(row) for block in grid(shape, ranges) for row in block]


@pytest.mark.parametrize("name", MIXED.layers)
def test_it_has_every_canonical_setting_once(name: str) -> None:
    shape = MIXED.layers[name]
    numbers = product((0, 1, 2, 3), (0, *range(2, 10)), (2, 3), (4, 5), (3, 4))
    expected = {LayerSetting(*five).canonical(shape) for five in numbers}
    found = listed(shape, NARROW)
    assert len(found) == len(set(found))
    assert set(found) == expected


@pytest.mark.parametrize("name", MIXED.layers)
def test_bits_are_the_settings_own(name: str) -> None:
    shape = MIXED.layers[name]
    for block in grid(shape, NARROW):
        expected = [setting_of(row).bits(shape) for row in block]
        np.testing.assert_array_equal(bits_of(block, shape), expected)


def test_levels_stay_unless_the_range_reaches_the_bound() -> None:
    stay = Ranges((1, 3), (2, 9), (2, 2), (4, 4), (3, 3), levels_stay=True)
    wide = listed(MIXED.layers["wide"], stay)  # bounds 9 and 64
    assert {s.base_in for s in wide} == {1, 2, 3}
    assert {s.base_out for s in wide} == set(range(2, 10))
    stem = listed(MIXED.layers["stem"], stay)  # bounds 1 and 9
    assert {s.base_in for s in stem} == {0}
    assert 0 in {s.base_out for s in stem}
    assert listed(MIXED.layers["depth"], stay) == [LayerSetting.plain(2)]


def test_a_range_above_the_bound_leaves_the_level_absent() -> None:
    above = Ranges((20, 30), (100, 200), (2, 3), (4, 4), (3, 3), levels_stay=True)
    assert listed(MIXED.layers["wide"], above) == [LayerSetting.plain(2), LayerSetting.plain(3)]


def test_widths_are_all_that_occur() -> None:
    assert NARROW.widths() == [2, 3, 4, 5]
    assert Ranges((1, 1), (1, 1), (32, 32), (4, 4), (3, 3)).widths() == [3, 4, 32]


def test_factors_that_cost_the_plain_weight_are_that_weight_where_levels_stay() -> None:
    costly = Ranges((1, 1), (38, 39), (2, 3), (4, 4), (3, 8), levels_stay=True)
    shape = MIXED.layers["point"]  # 64 x 40: level 2 below 40
    found = listed(shape, costly)
    assert found == [LayerSetting.plain(2), LayerSetting.plain(3)]
    assert LayerSetting(1, 39, 3, 4, 3).canonical(shape) == LayerSetting.plain(3)
