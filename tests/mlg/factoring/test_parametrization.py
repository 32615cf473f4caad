import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from mlgsearch.errors import SettingError
from mlgsearch.mlg.factoring.parametrization import Mlg
from mlgsearch.mlg.quantise import Method
from mlgsearch.mlg.setting import LayerSetting, LayerShape

SHAPE = LayerShape("conv", 16, 6, (3, 3))
BOTH = LayerSetting(2, 5, 3, 6, 4)


def levels(value: Tensor) -> int:
    return len(set(value.flatten().tolist()))


@pytest.mark.parametrize(
    ("five", "names"),
    [
        ((2, 5, 3, 6, 4), ("basis", "coeff_in", "coeff_out")),
        ((2, 0, 3, 6, 0), ("basis", "coeff_in")),
        ((0, 5, 3, 0, 4), ("basis", "coeff_out")),
        ((0, 0, 3, 0, 0), ("basis",)),
    ],
)
def test_latents_are_one_to_three_float_tensors(
    five: tuple[int, int, int, int, int], names: tuple[str, ...]
) -> None:
    setting = LayerSetting(*five)
    mlg = Mlg(setting, SHAPE)
    weight = torch.randn(SHAPE.weight_shape)
    latents = mlg.right_inverse(weight)
    assert mlg.names == names
    shapes = setting.factor_shapes(SHAPE)
    assert [tuple(t.shape) for t in latents] == [shapes[name] for name in names]
    assert all(t.dtype == torch.float32 for t in latents)
    generated = mlg(*latents)
    assert generated.shape == weight.shape
    error = float((generated - weight).norm() / weight.norm())
    assert mlg.relative_error == pytest.approx(error, rel=1e-5)


def test_the_quantised_factors_generate_the_weight() -> None:
    mlg = Mlg(BOTH, SHAPE)
    latents = mlg.right_inverse(torch.randn(SHAPE.weight_shape))
    factors = mlg.quantised(*latents)
    assert factors.coeff_in is not None
    assert factors.coeff_out is not None
    by_hand = torch.einsum("fo,ocb,obp->fcp", factors.coeff_out, factors.coeff_in, factors.basis)
    torch.testing.assert_close(mlg(*latents), by_hand.reshape(SHAPE.weight_shape))
    assert levels(factors.basis) <= 2**3
    assert levels(factors.coeff_in) <= 2**6
    assert levels(factors.coeff_out) <= 2**4
    smooth = mlg.smooth(*latents)
    assert levels(smooth.basis) > 2**3


@pytest.mark.parametrize("method", ["dorefa", "lsq"])
def test_noise_leaves_some_entries_smooth_in_training(method: Method) -> None:
    shape = LayerShape("conv", 64, 64, (3, 3))
    mlg = Mlg(LayerSetting(2, 32, 3, 1, 32), shape, method, noise_ratio=0.7)
    latents = mlg.right_inverse(torch.randn(shape.weight_shape))
    quantised, smooth = mlg.quantised(*latents), mlg.smooth(*latents)
    first, second = mlg.multiplied(*latents), mlg.multiplied(*latents)
    for name in ("basis", "coeff_in"):
        rounded, free, got, other = (getattr(f, name) for f in (quantised, smooth, first, second))
        is_quantised = got == rounded
        assert torch.equal(got[~is_quantised], free[~is_quantised])
        spread = (0.7 * 0.3 / got.numel()) ** 0.5
        assert is_quantised.double().mean().item() == pytest.approx(0.7, abs=5 * spread)
        assert not torch.equal(got, other)
    assert first.coeff_out is latents[2]  # at 32 bits
    torch.manual_seed(3)
    weight = mlg(*latents)
    torch.manual_seed(3)
    assert torch.equal(mlg(*latents), weight)
    mlg.eval()
    assert torch.equal(mlg(*latents), quantised.weight(shape.weight_shape))


def test_noise_draws_nothing_where_it_is_off() -> None:
    mlg = Mlg(BOTH, SHAPE)
    latents = mlg.right_inverse(torch.randn(SHAPE.weight_shape))
    state = torch.get_rng_state()
    mlg(*latents)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("ratio", [0.0, 1.5, float("nan")])
def test_a_noise_ratio_is_a_share(ratio: float) -> None:
    with pytest.raises(SettingError, match="expected 0 < noise_ratio <= 1"):
        Mlg(BOTH, SHAPE, noise_ratio=ratio)


def test_a_setting_that_is_not_canonical_is_refused() -> None:
    with pytest.raises(SettingError, match="not canonical"):
        Mlg(LayerSetting(9, 5, 3, 6, 4), SHAPE)


def test_a_weight_of_another_shape_is_refused() -> None:
    layer = nn.Conv2d(6, 16, 3)
    parametrize.register_parametrization(layer, "weight", Mlg(BOTH, SHAPE))
    with pytest.raises(SettingError, match=r"expected a weight of shape \(16, 6, 3, 3\)"):
        layer.weight = torch.randn(16, 6, 1, 1)


def test_the_rank_cannot_change() -> None:
    mlg = Mlg(BOTH, SHAPE)
    with pytest.raises(AttributeError):
        mlg.setting = LayerSetting(1, 5, 3, 6, 4)  # type: ignore[misc]
    other = Mlg(LayerSetting(1, 5, 3, 6, 4), SHAPE)
    latents = other.right_inverse(torch.randn(SHAPE.weight_shape))
    with pytest.raises(SettingError, match="has factors of shapes"):
        mlg(*latents)


def test_a_missing_operation_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> Tensor:
        raise NotImplementedError("no eigh here")

    monkeypatch.setattr("mlgsearch.mlg.factoring.parametrization.project", missing)
    with pytest.raises(RuntimeError, match="cannot project on cpu: no eigh here"):
        parametrize.register_parametrization(nn.Conv2d(6, 16, 3), "weight", Mlg(BOTH, SHAPE))


def test_a_half_precision_layer_keeps_its_dtype() -> None:
    layer = nn.Conv2d(6, 16, 3).to(torch.bfloat16)
    parametrize.register_parametrization(layer, "weight", Mlg(BOTH, SHAPE))
    assert layer.weight.dtype == torch.bfloat16
