"""Students as after a training, for suites that write and read them."""

import torch
from torch import nn

from mlgsearch.mlg.input_quantiser import InputQuantiser
from mlgsearch.mlg.kinds import compressible_layers
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


def varied_settings(network: nn.Module) -> dict[str, LayerSetting]:
    """Return one canonical setting per layer, taken from `VARIED` in turn."""
    return {
        name: VARIED[i % len(VARIED)].canonical(layer.shape)
        for i, (name, layer) in enumerate(compressible_layers(network).items())
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
