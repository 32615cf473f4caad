from dataclasses import replace

import pytest

from mlgsearch.mlg.running import execution
from mlgsearch.mlg.running.execution import CALL_MACS, FLOAT_MACS, choose_form, form_costs
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


def test_a_cost_is_operations_floats_moved_and_calls() -> None:
    costs = form_costs(BOTH, WIDE, 64, generates=False)
    ends = 2 * 16 * 512
    assert costs == {
        "dense": 64 * (16 * 512 * 4608 + FLOAT_MACS * ends) + CALL_MACS,
        "level2": 64 * (16 * 44 * (4608 + 512) + FLOAT_MACS * (ends + 2 * 16 * 44)) + 2 * CALL_MACS,
        "three_stage": 64
        * (16 * (88 * (512 + 9 + 1) + 44 * 512) + FLOAT_MACS * (ends + 2 * 16 * (2 * 88 + 44)))
        + 3 * CALL_MACS,
    }


@pytest.mark.parametrize("batch", [1, 100])
def test_generation_counts_once_a_batch_and_only_where_it_happens(batch: int) -> None:
    made, at_hand = form_costs(BOTH, WIDE, batch), form_costs(BOTH, WIDE, batch, generates=False)
    assert made["dense"] - at_hand["dense"] == 44 * 512 * 18 + 512 * 44 * 4608
    assert made["level2"] - at_hand["level2"] == 44 * 512 * 18
    assert made["three_stage"] == at_hand["three_stage"]


def test_where_forms_tie_the_simpler_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "CALL_MACS", 0)
    unreached = replace(WIDE, out_positions=0, in_positions=0)
    assert set(form_costs(BOTH, unreached, generates=False).values()) == {0.0}
    assert choose_form(BOTH, unreached, generates=False) == "dense"


def test_a_wanted_form_that_is_missing_falls_to_dense() -> None:
    assert choose_form(BOTH, WIDE, 64, "level2") == "level2"
    assert choose_form(BOTH, WIDE, 64, "dense") == "dense"
    assert choose_form(LayerSetting(0, 44, 3, 0, 3), WIDE, 64, "three_stage") == "dense"
    assert choose_form(LayerSetting.plain(8), WIDE, 64) == "dense"
    assert choose_form(BOTH, replace(WIDE, c_in=128, groups=4), 64) == "dense"
