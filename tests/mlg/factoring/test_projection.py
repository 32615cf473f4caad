from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mlgsearch.errors import DataError
from mlgsearch.mlg.factoring.factors import Factors
from mlgsearch.mlg.factoring.projection import decompose, project
from mlgsearch.mlg.quantise import Method, make_quantiser
from mlgsearch.mlg.setting import LayerSetting, LayerShape


def shape_of(weight: Tensor) -> LayerShape:
    c_out, c_in, height, width = weight.shape
    return LayerShape("conv", c_out, c_in, (height, width))


def error(
    weight: Tensor, setting: LayerSetting, *, method: Method = "dorefa", refine_steps: int = 3
) -> float:
    shape = shape_of(weight)
    assert setting.canonical(shape) == setting
    bits = {
        "basis": setting.q_basis,
        "coeff_in": setting.q_coeff_in,
        "coeff_out": setting.q_coeff_out,
    }
    quantisers = {n: make_quantiser(method, bits[n]) for n in setting.factor_shapes(shape)}
    found = project(weight, setting, shape, quantisers, refine_steps)
    values = {name: quantisers[name](latent) for name, latent in found.latents.items()}
    generated = Factors(setting, **values).weight(shape.weight_shape).detach()
    assert generated.dtype == weight.dtype
    true = float((generated.double() - weight.double()).norm() / weight.double().norm())
    assert found.relative_error == pytest.approx(true, abs=1e-6)
    return found.relative_error


SHAPES = st.tuples(st.integers(2, 12), st.integers(2, 8), st.sampled_from([1, 2, 3]))


@given(SHAPES, st.integers(0, 99))
@settings(max_examples=25)
def test_unquantised_error_never_grows_with_rank_and_ends_at_zero(
    dims: tuple[int, int, int], seed: int
) -> None:
    c_out, c_in, k = dims
    weight = torch.randn(
        c_out, c_in, k, k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    shape = shape_of(weight)

    def truncated(base_in: int, base_out: int) -> float:
        bases = LayerSetting(base_in, base_out, 32, 32 if base_in else 0, 32 if base_out else 0)
        # Ranks up to the bounds themselves: the mathematics holds where no bits are saved too.
        found = decompose(weight, bases, shape)
        generated = Factors(bases, **found).weight(shape.weight_shape)
        return float((generated - weight).norm() / weight.norm())

    full_in, full_out = shape.level1_bound, shape.level2_bound
    for base_in in (0, full_in):
        errors = [truncated(base_in, b) for b in range(1, full_out + 1)]
        assert all(b <= a + 1e-9 for a, b in pairwise(errors))
        assert errors[-1] < 1e-9
    for base_out in (0, full_out, (full_out + 1) // 2):
        errors = [truncated(b, base_out) for b in range(1, full_in + 1)]
        assert all(b <= a + 1e-9 for a, b in pairwise(errors))
    assert truncated(full_in, full_out) < 1e-9


def test_level_2_is_the_best_of_its_rank() -> None:
    weight = torch.randn(12, 5, 3, 3)
    singular = torch.linalg.svdvals(weight.flatten(1).double())
    best = float(singular[4:].norm() / singular.norm())
    assert error(weight, LayerSetting(0, 4, 32, 0, 32)) == pytest.approx(best, abs=1e-6)
    tall = weight.reshape(45, 4, 3, 1)  # more rows than columns: the other Gram matrix
    singular = torch.linalg.svdvals(tall.flatten(1).double())
    best = float(singular[4:].norm() / singular.norm())
    assert error(tall, LayerSetting(0, 4, 32, 0, 32)) == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize("c_in", [5, 20])
def test_level_1_is_the_best_of_its_rank_in_every_kernel(c_in: int) -> None:
    weight = torch.randn(6, c_in, 3, 3)
    singular = torch.linalg.svdvals(weight.flatten(2).double())
    best = float(singular[:, 2:].norm() / singular.norm())
    assert error(weight, LayerSetting(2, 0, 32, 32, 0)) == pytest.approx(best, abs=1e-6)


def test_vectors_are_orthogonal_and_the_scale_is_where_it_is_said_to_be() -> None:
    weight = torch.randn(12, 6, 3, 3)
    found = decompose(weight, LayerSetting(2, 5, 32, 32, 32), shape_of(weight))
    eye = torch.eye(2, dtype=torch.float64).expand(5, 2, 2)
    torch.testing.assert_close(found["basis"] @ found["basis"].mT, eye)
    gram = found["coeff_in"].mT @ found["coeff_in"]
    assert gram[:, 0, 1].abs().max() < 1e-9
    torch.testing.assert_close(
        found["coeff_out"].mT @ found["coeff_out"], torch.eye(5, dtype=torch.float64)
    )
    found = decompose(weight, LayerSetting(0, 5, 32, 0, 32), shape_of(weight))
    torch.testing.assert_close(
        found["basis"] @ found["basis"].mT, torch.eye(5, dtype=torch.float64)
    )
    gram = found["coeff_out"].mT @ found["coeff_out"]
    assert (gram - gram.diagonal().diag()).abs().max() < 1e-9


@pytest.mark.parametrize("method", ["dorefa", "lsq"])
@pytest.mark.parametrize(
    "five", [(2, 6, 3, 6, 3), (2, 6, 2, 2, 2), (2, 0, 3, 4, 0), (0, 6, 3, 0, 4), (2, 6, 32, 1, 8)]
)
def test_refining_lowers_the_error(method: Method, five: tuple[int, int, int, int, int]) -> None:
    weight = torch.randn(16, 12, 3, 3) * 0.05
    errors = [error(weight, LayerSetting(*five), method=method, refine_steps=n) for n in (0, 1, 3)]
    assert errors[1] < errors[0]
    assert errors[2] <= errors[1]


def test_the_joint_and_the_separate_solution_both_lower_the_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weight = torch.randn(16, 12, 3, 3)
    setting = LayerSetting(2, 6, 3, 6, 3)
    joint = error(weight, setting)
    monkeypatch.setattr("mlgsearch.mlg.factoring.projection._JOINT_LIMIT", 0)
    assert joint < error(weight, setting) < error(weight, setting, refine_steps=0)


def test_32_bits_are_not_refined() -> None:
    weight = torch.randn(16, 12, 3, 3)
    setting = LayerSetting(2, 6, 32, 32, 32)
    assert error(weight, setting, refine_steps=3) == error(weight, setting, refine_steps=0)


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_more_bits_for_a_plain_weight_are_better(bits: int) -> None:
    weight = torch.randn(16, 12, 3, 3)
    fewer, more = LayerSetting.plain(bits), LayerSetting.plain(16)
    assert error(weight, more) < error(weight, fewer)
    assert error(weight, LayerSetting.plain(32)) == 0


@pytest.mark.parametrize(
    "five", [(2, 6, 3, 6, 3), (2, 0, 3, 4, 0), (0, 6, 3, 0, 4), (0, 0, 4, 0, 0)]
)
@pytest.mark.parametrize("method", ["dorefa", "lsq"])
def test_a_zero_weight_stays_zero(method: Method, five: tuple[int, int, int, int, int]) -> None:
    weight = torch.zeros(16, 12, 3, 3)
    setting, shape = LayerSetting(*five), shape_of(weight)
    bits = {"basis": five[2], "coeff_in": five[3], "coeff_out": five[4]}
    quantisers = {n: make_quantiser(method, bits[n]) for n in setting.factor_shapes(shape)}
    found = project(weight, setting, shape, quantisers)
    assert found.relative_error == 0
    assert all(torch.isfinite(latent).all() for latent in found.latents.values())


def test_a_weight_of_low_rank_is_met_exactly_and_keeps_unit_vectors() -> None:
    weight = (torch.randn(40, 1) @ torch.randn(1, 18)).reshape(40, 2, 3, 3)
    assert error(weight, LayerSetting(0, 4, 32, 0, 32)) < 1e-6
    found = decompose(weight, LayerSetting(1, 4, 32, 32, 32), shape_of(weight))
    torch.testing.assert_close(
        found["coeff_out"].mT @ found["coeff_out"], torch.eye(4, dtype=torch.float64)
    )


def test_half_precision_is_projected_in_double() -> None:
    weight = torch.randn(16, 12, 3, 3)
    setting = LayerSetting(2, 6, 32, 32, 32)
    half = error(weight.to(torch.bfloat16), setting)
    assert half == pytest.approx(error(weight, setting), abs=0.01)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(bad: float) -> None:
    weight = torch.ones(4, 4, 3, 3)
    weight[1, 2, 0, 0] = bad
    with pytest.raises(DataError, match="not finite"):
        error(weight, LayerSetting.plain(32))
