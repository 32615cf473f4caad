import pytest
import torch

from mlgsearch.mlg.setting import LayerShape
from mlgsearch.planning.layer.metric import InputMetric

DRAW = torch.Generator().manual_seed(0)


def a_moment(groups: int, c_in: int) -> torch.Tensor:
    vectors = torch.randn(groups, c_in, 50, generator=DRAW, dtype=torch.float64)
    return vectors @ vectors.mT / 50


def test_energy_is_the_mean_square_of_the_output_of_independent_positions() -> None:
    shape = LayerShape("conv", 5, 3, (3, 3))
    vectors = torch.randn(40, 3, generator=DRAW, dtype=torch.float64)
    weight = torch.randn(5, 3, 3, 3, generator=DRAW, dtype=torch.float64)
    metric = InputMetric((vectors.mT @ vectors / 40)[None], shape)
    outputs = torch.einsum("oihw,ni->nohw", weight, vectors)  # each position on its own
    assert metric.energy(weight) == pytest.approx(float(outputs.square().sum(0).sum() / 40))


def test_a_depthwise_layer_has_a_moment_for_each_channel() -> None:
    shape = LayerShape("conv", 4, 1, (3, 3), groups=4)
    moment = a_moment(4, 1)
    weight = torch.randn(4, 1, 3, 3, generator=DRAW)
    expected = (weight.double().flatten(1).square().sum(1) * moment[:, 0, 0]).sum()
    assert InputMetric(moment, shape).energy(weight) == pytest.approx(float(expected))


@pytest.mark.parametrize("groups", [1, 2])
def test_the_root_gives_the_energy(groups: int) -> None:
    shape = LayerShape("conv", 6, 3, (1, 1), groups=groups)
    metric = InputMetric(a_moment(groups, 3), shape)
    weight = torch.randn(6, 3, 1, 1, generator=DRAW, dtype=torch.float64)
    energy = float((metric.root() @ weight.flatten(1).mT).square().sum())
    assert metric.energy(weight) == pytest.approx(energy)


def test_the_mean_variance_is_the_energy_of_white_noise() -> None:
    shape = LayerShape("conv", 400, 8, (3, 3))
    metric = InputMetric(a_moment(1, 8), shape)
    noise = torch.randn(400, 8, 3, 3, generator=DRAW, dtype=torch.float64)
    expected = metric.mean_variance() * shape.weight_numel
    assert metric.energy(noise) == pytest.approx(expected, rel=0.03)
