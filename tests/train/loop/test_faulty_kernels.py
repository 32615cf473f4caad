"""Gradients that oneDNN would get wrong are right in a training step."""

import copy

import pytest
import torch
from torch import nn

from mlgsearch.train.loop.optim import build_optimiser
from mlgsearch.train.loop.steps import Steps
from mlgsearch.train.spec import OptimiserSpec


@pytest.mark.parametrize("channels", [2, 4, 7, 8, 15])
@pytest.mark.parametrize("stride", [(2, 2), (1, 2), (3, 3)])
def test_a_strided_pointwise_convolution_has_its_gradient(
    channels: int, stride: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    strided = nn.Conv2d(channels, 8, 1, stride=stride)
    network = nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1), strided, nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    images = torch.randn(16, channels, 8, 8)
    exact = copy.deepcopy(network).double()
    loss = exact(images.double()).square().sum()
    (wanted,) = torch.autograd.grad(loss, [list(exact.parameters())[2]])
    network.to(memory_format=torch.channels_last)
    spec = OptimiserSpec(epochs=1)
    steps = Steps(network, build_optimiser(network, spec), spec, 1)
    outputs = steps.outputs(images.contiguous(memory_format=torch.channels_last))
    (gradient,) = torch.autograd.grad(outputs.square().sum(), [strided.weight])
    error = (gradient.double() - wanted).abs().max() / wanted.abs().max()
    assert error < 1e-5
    assert strided.stride == stride
    assert not strided._forward_pre_hooks
