from copy import deepcopy
from typing import Any

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from mlgsearch.errors import SettingError
from mlgsearch.mlg.quantise import (
    QUANTISERS,
    DorefaQuantiser,
    LsqQuantiser,
    Method,
    Quantiser,
    SignQuantiser,
    SymmetricLsqQuantiser,
    make_quantiser,
    spread_sample,
)

METHODS = tuple(QUANTISERS)
FEW_BITS = st.integers(1, 8)
VALUES = st.lists(st.floats(-1e3, 1e3, allow_nan=False, width=32), min_size=1, max_size=40).map(
    torch.tensor
)
#: The smallest normal number.
TINY = torch.finfo(torch.float32).tiny


def relative_error(quantiser: Quantiser, target: Tensor) -> float:
    value = quantiser(quantiser.fit(target)).detach().double()
    # In double precision: squares of small numbers vanish in single.
    return float((value - target.double()).norm() / target.double().norm())


@given(st.sampled_from(METHODS), FEW_BITS, VALUES)
def test_few_levels_and_finite_values(method: Method, bits: int, target: Tensor) -> None:
    quantiser = make_quantiser(method, bits)
    value = quantiser(quantiser.fit(target))
    assert value.shape == target.shape
    assert torch.isfinite(value).all()
    assert value.unique().numel() <= 2**bits
    reach = 1.34 if method == "lsq" else 1.0001  # a learned step may end a third beyond
    assert value.abs().max() <= target.abs().max() * reach


@given(st.sampled_from(METHODS), FEW_BITS, VALUES)
@example("dorefa", 3, torch.tensor([1.1755e-38]))
@example("lsq", 3, torch.tensor([1.1755e-38]))
def test_a_value_that_has_been_quantised_is_a_fixed_point_of_the_fit(
    method: Method, bits: int, target: Tensor
) -> None:
    quantiser = make_quantiser(method, bits)
    value = quantiser(quantiser.fit(target))
    if isinstance(quantiser, LsqQuantiser | SymmetricLsqQuantiser):  # a level is its own latent
        torch.testing.assert_close(quantiser(value), value, rtol=1e-5, atol=0)
    else:
        torch.testing.assert_close(
            quantiser(quantiser.fit(value)), value, rtol=1e-4, atol=1e-5 * float(value.abs().max())
        )


@given(FEW_BITS, VALUES)
def test_dorefa_is_symmetric(bits: int, target: Tensor) -> None:
    n = 2**bits - 1
    ratio = target / (2 * target.abs().max().clamp_min(1e-30)) * n + n / 2
    away_from_ties = target[((ratio - ratio.floor()) - 0.5).abs() > 1e-3]
    if away_from_ties.numel() == 0 or away_from_ties.abs().max() != target.abs().max():
        return
    plus, minus = make_quantiser("dorefa", bits), make_quantiser("dorefa", bits)
    latent = plus.fit(away_from_ties)
    torch.testing.assert_close(minus(-latent), -minus(latent), rtol=1e-3, atol=1e-30)


def test_dorefa_by_hand() -> None:
    quantiser = make_quantiser("dorefa", 2)
    t = torch.tensor([-0.6, -0.3, 0.1, 0.25, 0.45])
    expected = 0.6 * torch.tensor([-1, -1 / 3, 1 / 3, 1 / 3, 1.0])
    torch.testing.assert_close(quantiser(torch.atanh(t)), expected)


def test_lsq_by_hand() -> None:
    quantiser = make_quantiser("lsq", 3)
    assert isinstance(quantiser, LsqQuantiser)
    quantiser.scale.fill_(0.5)
    latent = torch.tensor([-9.0, -1.7, -0.2, 0.3, 1.2, 1.4, 9.0])
    expected = 0.5 * torch.tensor([-4.0, -3, 0, 1, 2, 3, 3])
    torch.testing.assert_close(quantiser(latent), expected)


def test_symmetric_lsq_by_hand() -> None:
    quantiser = make_quantiser("lsq_symmetric", 2)
    assert isinstance(quantiser, SymmetricLsqQuantiser)
    quantiser.scale.fill_(0.5)
    latent = torch.tensor([-9.0, -0.6, -0.4, -0.1, 0.0, 0.4, 0.6, 9.0])
    expected = 0.5 * torch.tensor([-1.5, -1.5, -0.5, -0.5, 0.5, 0.5, 1.5, 1.5])
    torch.testing.assert_close(quantiser(latent), expected)


@given(FEW_BITS.filter(lambda bits: bits > 1), VALUES)
@example(2, torch.tensor([0.0, 2.6692e-25]))
def test_symmetric_lsq_fits_as_dorefa_does(bits: int, target: Tensor) -> None:
    dorefa = relative_error(make_quantiser("dorefa", bits), target) if target.any() else 0.0
    symmetric = relative_error(make_quantiser("lsq_symmetric", bits), target) if target.any() else 0
    assert symmetric == pytest.approx(dorefa, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_one_bit_is_sign_times_mean(method: Method) -> None:
    quantiser = make_quantiser(method, 1)
    value = quantiser(torch.tensor([1.0, -3.0, 0.0, -4.0]))
    assert value.tolist() == [2.0, -2.0, 2.0, -2.0]


@pytest.mark.parametrize("method", METHODS)
def test_32_bits_are_the_identity(method: Method) -> None:
    latent = torch.randn(7) * 100
    quantiser = make_quantiser(method, 32)
    assert quantiser(latent) is latent
    assert quantiser.fit(latent) is latent
    assert not list(quantiser.parameters())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", [1e-4, 0.05, 1.0, 300.0])
def test_the_error_shrinks_as_bits_grow_at_any_scale(method: Method, scale: float) -> None:
    target = torch.randn(4000) * scale
    errors = [relative_error(make_quantiser(method, b), target) for b in (*range(1, 9), 16, 32)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] == pytest.approx((1 - 2 / torch.pi) ** 0.5, abs=0.02)
    assert errors[7] < 0.02
    assert errors[8] < 1e-4
    assert errors[9] == 0


@pytest.mark.parametrize("method", METHODS)
def test_the_scale_follows_the_mass_not_the_outlier(method: Method) -> None:
    target = torch.cat([torch.randn(1000), torch.tensor([30.0])])
    assert relative_error(make_quantiser(method, 3), target) < 0.85
    assert relative_error(DorefaQuantiser(3), target) < relative_error(_Unclipped(3), target)


class _Unclipped(DorefaQuantiser):
    """Fits at the largest magnitude."""

    def fit(self, target: Tensor) -> Tensor:
        self.gain.fill_(max(1.0, float(target.abs().max()) / 0.76))
        return torch.atanh(target / self.gain)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("target", [torch.zeros(5), torch.tensor([-2.5]), torch.tensor(3.0)])
def test_zeros_and_single_numbers_are_kept(method: Method, bits: int, target: Tensor) -> None:
    quantiser = make_quantiser(method, bits)
    latent = quantiser.fit(target).requires_grad_()
    value = quantiser(latent)
    torch.testing.assert_close(value, target, rtol=1e-3, atol=0)
    value.sum().backward()
    assert latent.grad is not None
    assert torch.isfinite(latent.grad).all()
    if not isinstance(quantiser, SymmetricLsqQuantiser):
        assert (latent.grad != 0).all(), "a zero factor must be able to learn"


@pytest.mark.parametrize("bits", [2, 3, 8, 16])
@pytest.mark.parametrize("method", METHODS)
def test_levels_are_never_subnormal(method: Method, bits: int) -> None:
    quantiser = make_quantiser(method, bits)
    smallest = TINY * (2 ** (bits - 1) - 1 if method == "lsq" else 2**bits - 1)
    latent = quantiser.fit(torch.tensor([0.9 * smallest, -0.3 * smallest])).requires_grad_()
    value = quantiser(latent)
    assert value.tolist() == [0.0, 0.0]
    assert quantiser.decode(*quantiser.encode(latent)).tolist() == [0.0, 0.0]
    value.sum().backward()
    assert latent.grad is not None
    if method != "lsq_symmetric":
        assert (latent.grad != 0).all(), "a zero factor must be able to learn"
    above = torch.tensor([1.1 * smallest])
    value = quantiser(quantiser.fit(above)).detach()
    torch.testing.assert_close(value, above, rtol=1e-3, atol=0)
    assert value.abs().min() >= TINY


@pytest.mark.parametrize("bits", [1, 3, 16])
@pytest.mark.parametrize("method", METHODS)
def test_a_value_of_nan_is_nan(method: Method, bits: int) -> None:
    quantiser = make_quantiser(method, bits)
    assert quantiser(torch.tensor([0.5, torch.nan])).isnan().any()


def gradient(quantiser: Quantiser, latent: Tensor, weight: Tensor) -> Tensor:
    latent = latent.clone().requires_grad_()
    (quantiser(latent) * weight).sum().backward()
    assert latent.grad is not None
    return latent.grad


def test_dorefas_gradient_is_that_of_the_smooth_value() -> None:
    quantiser = DorefaQuantiser(3).double()
    latent = quantiser.fit(torch.randn(50, dtype=torch.float64) * 4)
    assert quantiser.gain > 1
    weight = torch.randn(50, dtype=torch.float64)
    expected = quantiser.gain * weight * (1 - latent.tanh().square())
    torch.testing.assert_close(gradient(quantiser, latent, weight), expected)


def test_the_signs_gradient_is_the_identity() -> None:
    weight = torch.randn(50)
    torch.testing.assert_close(gradient(SignQuantiser(), torch.randn(50), weight), weight)


def test_lsqs_gradients_are_the_papers() -> None:
    quantiser = LsqQuantiser(3).double()
    quantiser.scale.fill_(0.4)
    latent = torch.randn(60, dtype=torch.float64)
    weight = torch.randn(60, dtype=torch.float64)
    ratio = latent / 0.4
    inside = (ratio > -4) & (ratio < 3)
    torch.testing.assert_close(gradient(quantiser, latent, weight), weight * inside)
    # Esser et al. 2020, eq. 3; the step is scale*exp(log_step), hence one more factor of it.
    slope = torch.where(inside, ratio.round() - ratio, ratio.clamp(-4, 3))
    expected = (weight * slope).sum() * (60 * 3) ** -0.5 * 0.4
    torch.testing.assert_close(quantiser.log_step.grad, expected)


def test_symmetric_lsqs_gradients_are_lsqs_on_its_levels() -> None:
    quantiser = SymmetricLsqQuantiser(3).double()
    quantiser.scale.fill_(0.4)
    latent = torch.randn(60, dtype=torch.float64)
    weight = torch.randn(60, dtype=torch.float64)
    ratio = latent / 0.4
    inside = (ratio > -4) & (ratio < 4)
    torch.testing.assert_close(gradient(quantiser, latent, weight), weight * inside)
    slope = torch.where(inside, ratio.floor() + 0.5 - ratio, 3.5 * ratio.sign())
    expected = (weight * slope).sum() * (60 * 4) ** -0.5 * 0.4
    torch.testing.assert_close(quantiser.log_step.grad, expected)


@pytest.mark.parametrize("method", METHODS)
def test_latents_of_dorefa_stay_where_tanh_is_steep(method: Method) -> None:
    target = torch.randn(100) * 1e3
    latent = make_quantiser(method, 8).fit(target)
    assert latent.abs().max() <= (1.0001 if method == "dorefa" else target.abs().max())


@pytest.mark.parametrize("bits", [1, 4, 16, 32])
@pytest.mark.parametrize("method", METHODS)
def test_a_state_and_a_copy_carry_the_scale(method: Method, bits: int) -> None:
    quantiser = make_quantiser(method, bits)
    latent = quantiser.fit(torch.randn(30) * 9)
    fresh = make_quantiser(method, bits)
    fresh.load_state_dict(quantiser.state_dict())
    assert torch.equal(fresh(latent), quantiser(latent))
    copy = deepcopy(quantiser)
    quantiser.fit(torch.randn(30))
    assert torch.equal(copy(latent), fresh(latent))


@pytest.mark.parametrize(("method", "bits"), [("ternary", 2), ("lsq", 0), ("lsq", 9)])
def test_unknown_quantisers_are_refused(method: Any, bits: int) -> None:
    with pytest.raises(SettingError, match="expected"):
        make_quantiser(method, bits)


def test_a_sample_is_spread_over_all_positions_of_a_kernel() -> None:
    weight = torch.arange(9.0).repeat(144, 128)  # every entry is its kernel position
    sample = spread_sample(weight, 1024)
    assert torch.equal(sample, spread_sample(weight, 1024))
    counts = sample.long().bincount(minlength=9)
    assert counts.min() > 0.8 * 1024 / 9
    few = torch.randn(4, 5)
    assert torch.equal(spread_sample(few, 20), few.flatten())


@pytest.mark.parametrize("bits", [2, 3, 8])
def test_dorefa_takes_the_nearest_level_as_its_source_rounds(bits: int) -> None:
    latent = torch.randn(3000, generator=torch.Generator().manual_seed(bits), dtype=torch.float64)
    quantiser = DorefaQuantiser(bits).double()
    through, n = latent.tanh(), 2**bits - 1
    largest = through.abs().max()
    expected = largest * (2 * ((through / (2 * largest) + 0.5) * n).round() / n - 1)
    torch.testing.assert_close(quantiser(latent), expected)


@pytest.mark.parametrize("method", METHODS)
def test_a_fit_clips_where_the_error_is_least(method: Method) -> None:
    target = torch.randn(2000, generator=torch.Generator().manual_seed(3)).pow(3)
    quantiser = make_quantiser(method, 4)
    found = relative_error(quantiser, target)
    for share in (0.9**i for i in range(18)):
        clipped = make_quantiser(method, 4)
        clipped.fit(target)
        if isinstance(clipped, LsqQuantiser):
            clipped.scale.copy_(target.abs().max() * share / clipped.top)
            value = clipped(target).detach()
        elif isinstance(clipped, SymmetricLsqQuantiser):
            clipped.scale.copy_(target.abs().max() * share / (clipped.side - 0.5))
            value = clipped(target).detach()
        else:
            largest = target.abs().max() * share
            latent = (target.clamp(-largest, largest) / largest * 0.7).atanh()
            value = clipped(latent).detach()
            value = value / value.abs().max() * largest
        assert found <= float((value - target).norm() / target.norm()) * 1.0001
