"""Students as after a training, for suites that write and read them."""

from typing import Any

import torch
from torch import nn

from mlgsearch.mlg.compress import compress
from mlgsearch.mlg.factoring.factors import Factors
from mlgsearch.mlg.factoring.parametrization import layer_factors
from mlgsearch.mlg.input_quantiser import InputQuantiser
from mlgsearch.mlg.kinds import compressible_layers, is_compressed
from mlgsearch.mlg.setting import LayerSetting

#: Settings that layers are given in turn: every kind of factor at odd and even bits.
VARIED = (
    LayerSetting(2, 6, 3, 6, 3),
    LayerSetting(1, 0, 5, 1, 0),
    LayerSetting(0, 4, 1, 0, 7),
    LayerSetting.plain(4),
    LayerSetting(2, 3, 32, 16, 8),
    LayerSetting.plain(32),
    LayerSetting(1, 5, 2, 32, 4),
    LayerSetting(2, 3, 2, 5, 32),
)

#: Settings of a small student's three layers, and images for it.
SETTINGS = {
    "0": LayerSetting(2, 5, 3, 6, 3),
    "2": LayerSetting(0, 4, 4, 0, 4),
    "5": LayerSetting(0, 3, 4, 0, 4),
}
X = torch.randn(3, 6, 9, 8, generator=torch.Generator().manual_seed(1))


def small_student(**options: Any) -> nn.Sequential:
    """Return a student of three layers; ``options`` are those of `compress`."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(6, 12, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(12, 8, 3),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 6),
    )
    compress(network, SETTINGS, **options)
    return network


def varied_settings(network: nn.Module) -> dict[str, LayerSetting]:
    """Return one canonical setting per layer, taken from `VARIED` in turn."""
    return {
        name: VARIED[i % len(VARIED)].canonical(layer.shape)
        for i, (name, layer) in enumerate(compressible_layers(network).items())
    }


def factors(network: nn.Module) -> dict[str, Factors]:
    """Return the quantised factors of every compressed layer, by name, in the network's order."""
    return {
        name: layer_factors(layer.module, layer.parameter)
        for name, layer in compressible_layers(network).items()
        if is_compressed(layer.module, layer.parameter)
    }


@torch.no_grad()
def as_trained(student: nn.Module, *images_shape: int) -> nn.Module:
    """Move latents, scales, statistics and ranges of inputs, and return it in eval mode."""
    for parameter in student.parameters():
        parameter.add_(0.03 * torch.randn_like(parameter))
    for module in student.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_var is not None:
            assert module.running_mean is not None
            module.running_mean.normal_(std=0.3)
            module.running_var.uniform_(0.5, 2)
    student.eval()
    for module in student.modules():
        if isinstance(module, InputQuantiser):
            module.train()
    student(torch.randn(images_shape))
    return student.eval()
