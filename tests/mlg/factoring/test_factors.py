import torch

from mlgsearch.mlg.factoring.factors import Factors
from mlgsearch.mlg.setting import LayerSetting


def test_without_a_level_the_basis_is_the_weight() -> None:
    weight = torch.randn(4, 3, 3, 3)
    factors = Factors(LayerSetting.plain(8), weight)
    assert torch.equal(factors.weight((4, 3, 3, 3)), weight)


def test_kernels_are_the_weight_before_level_2() -> None:
    basis, coeff_in, coeff_out = torch.randn(5, 2, 9), torch.randn(5, 3, 2), torch.randn(8, 5)
    both = Factors(LayerSetting(2, 5, 8, 8, 8), basis, coeff_in, coeff_out)
    kernels = both.kernels()
    for o in range(5):
        torch.testing.assert_close(kernels[o].reshape(3, 9), coeff_in[o] @ basis[o])
    weight = both.weight((8, 3, 3, 3))
    torch.testing.assert_close(weight.flatten(1), coeff_out @ kernels)


def test_a_meta_tensor_generates_too() -> None:
    with torch.device("meta"):
        factors = Factors(LayerSetting(0, 5, 8, 0, 8), torch.empty(5, 27), None, torch.empty(8, 5))
    assert factors.weight((8, 3, 3, 3)).shape == (8, 3, 3, 3)
