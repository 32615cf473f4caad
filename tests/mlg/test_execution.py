from dataclasses import replace

from mlgsearch.mlg.execution import choose_form, form_costs
from mlgsearch.mlg.setting import LayerSetting, LayerShape

WIDE = LayerShape("conv", 512, 512, (3, 3), out_positions=16)
BOTH = LayerSetting(2, 44, 3, 6, 3)


def test_a_wide_layer_runs_on_three_stages() -> None:
    assert choose_form(BOTH, WIDE, 64) == "three_stage"


def test_a_stride_favours_level_2() -> None:
    strided = replace(WIDE, c_in=64, c_out=128, out_positions=256, in_positions=1024)
    assert choose_form(BOTH, strided, 32) == "level2"


def test_a_tiny_layer_is_not_worth_a_further_stage() -> None:
    tiny = LayerShape("conv", 16, 16, (3, 3), out_positions=4)
    assert choose_form(LayerSetting(0, 8, 8, 0, 8), tiny, 1) == "dense"


def test_generation_weighs_less_on_a_large_batch() -> None:
    one, many = form_costs(BOTH, WIDE, 1), form_costs(BOTH, WIDE, 100)
    assert one["dense"] == 16 * 512 * 4608 + 44 * 512 * 18 + 512 * 44 * 4608
    assert many["dense"] - one["dense"] == 99 * 16 * 512 * 4608
    assert choose_form(LayerSetting(0, 400, 8, 0, 4), replace(WIDE, out_positions=1), 1) != "dense"


def test_a_wanted_form_that_is_missing_falls_to_dense() -> None:
    assert choose_form(BOTH, WIDE, 64, "level2") == "level2"
    assert choose_form(BOTH, WIDE, 64, "dense") == "dense"
    assert choose_form(LayerSetting(0, 44, 3, 0, 3), WIDE, 64, "three_stage") == "dense"
    assert choose_form(LayerSetting.plain(8), WIDE, 64) == "dense"
    assert choose_form(BOTH, replace(WIDE, c_in=128, groups=4), 64) == "dense"
