import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlgsearch.errors import SettingError
from mlgsearch.mlg.setting import BIT_WIDTHS, LayerSetting, LayerShape

SHAPES = st.builds(
    LayerShape,
    st.just("conv"),
    st.integers(1, 64),
    st.integers(1, 64),
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.integers(1, 4),
    st.integers(0, 1024),
) | st.builds(LayerShape, st.just("linear"), st.integers(1, 64), st.integers(1, 64))
BITS = st.sampled_from(BIT_WIDTHS[1:])
SETTINGS = st.builds(LayerSetting, st.integers(0, 30), st.integers(0, 80), BITS, BITS, BITS)

CONV = LayerShape("conv", 64, 32, (3, 3), out_positions=16, in_positions=64)


def test_importing_the_setting_loads_no_torch() -> None:
    code = "import sys, mlgsearch.mlg.setting; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@given(SETTINGS, SHAPES)
def test_canonical_is_idempotent_and_never_dearer_than_the_plain_weight(
    setting: LayerSetting, shape: LayerShape
) -> None:
    canonical = setting.canonical(shape)
    assert canonical.canonical(shape) == canonical
    assert canonical.q_basis == setting.q_basis
    plain = LayerSetting.plain(setting.q_basis)
    assert canonical.bits(shape) <= plain.bits(shape) == shape.weight_numel * setting.q_basis
    assert (canonical.q_coeff_in == 0) == (canonical.base_in == 0)
    assert (canonical.q_coeff_out == 0) == (canonical.base_out == 0)


@given(SETTINGS, SHAPES)
def test_costs_agree_with_the_factors_shapes(setting: LayerSetting, shape: LayerShape) -> None:
    canonical = setting.canonical(shape)
    numel = {}
    for name, factor in canonical.factor_shapes(shape).items():
        numel[name] = 1
        for size in factor:
            numel[name] *= size
    assert canonical.parameters(shape) == sum(numel.values())
    assert canonical.bits(shape) == (
        numel["basis"] * canonical.q_basis
        + numel.get("coeff_in", 0) * canonical.q_coeff_in
        + numel.get("coeff_out", 0) * canonical.q_coeff_out
    )
    assert canonical.execution_macs(shape) <= shape.out_positions * shape.weight_numel


@given(SHAPES)
def test_a_shape_survives_json(shape: LayerShape) -> None:
    assert LayerShape.from_dict(json.loads(json.dumps(shape.to_dict()))) == shape


@given(SETTINGS)
def test_five_numbers_survive_json(setting: LayerSetting) -> None:
    assert LayerSetting.from_five(json.loads(json.dumps(setting.five))) == setting


def test_levels_exist_below_their_bounds_only() -> None:
    assert (CONV.level1_bound, CONV.level2_bound) == (9, 64)
    assert LayerSetting(9, 63, 8, 8, 8).canonical(CONV).five == (0, 0, 8, 0, 0)
    assert LayerSetting(2, 64, 8, 7, 6).canonical(CONV).five == (2, 0, 8, 7, 0)
    assert LayerSetting(9, 20, 8, 7, 6).canonical(CONV).five == (0, 20, 8, 0, 6)
    assert LayerSetting(2, 20, 8, 7, 6).canonical(CONV).five == (2, 20, 8, 7, 6)
    assert LayerSetting(0, 0, 8, 7, 6).canonical(CONV).five == (0, 0, 8, 0, 0)


def test_aliases_share_one_canonical_form() -> None:
    aliases = {LayerSetting(b, 64, 4, 8, q).canonical(CONV) for b in (9, 12) for q in (0, 1, 32)}
    assert aliases == {LayerSetting.plain(4)}


def test_factors_dearer_than_the_plain_weight_become_it() -> None:
    stem = LayerShape("conv", 64, 3, (3, 3))
    assert LayerSetting(2, 44, 32, 32, 32).canonical(stem).five == (2, 0, 32, 32, 0)
    assert LayerSetting(2, 44, 3, 6, 3).canonical(stem).five == (0, 0, 3, 0, 0)
    square = LayerShape("linear", 10, 10)
    assert LayerSetting(0, 5, 8, 8, 8).canonical(square).is_plain, "as dear counts as dearer"
    assert not LayerSetting(0, 4, 8, 8, 8).canonical(square).is_plain


def test_a_depthwise_layer_has_no_level() -> None:
    depthwise = LayerShape("conv", 32, 1, (3, 3), groups=32)
    assert depthwise.is_depthwise
    assert (depthwise.level1_bound, depthwise.level2_bound) == (0, 0)
    assert LayerSetting(1, 2, 4, 4, 4).canonical(depthwise) == LayerSetting.plain(4)
    assert not LayerShape("conv", 32, 1, (3, 3)).is_depthwise
    assert not LayerShape("conv", 32, 2, (3, 3), groups=16).is_depthwise


def test_factor_shapes_and_macs_by_hand() -> None:
    both = LayerSetting(2, 20, 3, 6, 4)
    assert both.factor_shapes(CONV) == {
        "basis": (20, 2, 9),
        "coeff_in": (20, 32, 2),
        "coeff_out": (64, 20),
    }
    assert both.parameters(CONV) == 360 + 1280 + 1280
    assert both.bits(CONV) == 360 * 3 + 1280 * 6 + 1280 * 4
    assert both.generation_macs(CONV) == 20 * 32 * 2 * 9 + 64 * 20 * 288
    assert both.form_macs(CONV) == {
        "dense": 16 * 64 * 288,
        "level2": 16 * (20 * 288 + 64 * 20),
        "three_stage": 64 * 32 * 40 + 16 * 40 * (9 + 1) + 16 * 20 * 64,
    }
    assert both.execution_macs(CONV) == 64 * 32 * 40 + 16 * 40 * 10 + 16 * 20 * 64
    one = LayerSetting(2, 0, 3, 6, 0)
    assert one.factor_shapes(CONV) == {"basis": (64, 2, 9), "coeff_in": (64, 32, 2)}
    assert one.generation_macs(CONV) == 64 * 32 * 2 * 9
    assert one.form_macs(CONV)["three_stage"] == 64 * 32 * 128 + 16 * 128 * 9 + 16 * 128
    two = LayerSetting(0, 20, 3, 0, 4)
    assert two.factor_shapes(CONV) == {"basis": (20, 288), "coeff_out": (64, 20)}
    assert LayerSetting.plain(8).generation_macs(CONV) == 0
    assert LayerSetting.plain(8).form_macs(CONV) == {"dense": 16 * 64 * 288}


def test_groups_leave_the_dense_form_only() -> None:
    grouped = LayerShape("conv", 64, 32, (3, 3), groups=2, out_positions=16)
    assert set(LayerSetting(2, 20, 3, 6, 4).form_macs(grouped)) == {"dense"}


@pytest.mark.parametrize(
    ("five", "message"),
    [
        ((-1, 2, 8, 8, 8), "base_in is -1"),
        ((1, True, 8, 8, 8), "base_out is True"),
        ((1, 2.0, 8, 8, 8), "base_out is 2.0"),
        ((1, 2, 9, 8, 8), "q_basis is 9"),
        ((1, 2, 8, 33, 8), "q_coeff_in is 33"),
        ((1, 2, 8, 8, "8"), "q_coeff_out is '8'"),
        ((1, 2, 0, 8, 8), "q_basis is 0"),
        ((1, 2, 8), "five numbers, got 3"),
    ],
)
def test_malformed_numbers_are_refused_with_their_values(
    five: tuple[int, ...], message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        LayerSetting.from_five(five)  # type: ignore[arg-type]


def test_a_level_without_bits_is_refused() -> None:
    with pytest.raises(SettingError, match="level 1 exists, but q_coeff_in is 0"):
        LayerSetting(2, 0, 8, 0, 8).canonical(CONV)
    with pytest.raises(SettingError, match="level 2 exists, but q_coeff_out is 0"):
        LayerSetting(0, 20, 8, 8, 0).canonical(CONV)


def test_costs_of_a_setting_that_is_not_canonical_are_refused() -> None:
    with pytest.raises(SettingError, match=r"write \(0, 20, 8, 0, 8\)"):
        LayerSetting(9, 20, 8, 8, 8).bits(CONV)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"kind": "pool"}, "kind is 'pool'"),
        ({"c_out": 0}, "c_out is 0"),
        ({"groups": True}, "groups is True"),
        ({"kernel": []}, r"kernel is \(\)"),
        ({"kernel": [3, 0]}, "kernel side 1 is 0"),
        ({"stride": 2}, "expected the fields"),
    ],
)
def test_a_malformed_shape_is_refused(content: dict[str, object], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        LayerShape.from_dict({**CONV.to_dict(), **content})


def test_settings_are_ordered_and_hashable() -> None:
    few, many = LayerSetting(1, 2, 3, 4, 5), LayerSetting(1, 3, 3, 4, 5)
    assert sorted([many, few]) == [few, many]
    assert len({few, LayerSetting(1, 2, 3, 4, 5)}) == 1
