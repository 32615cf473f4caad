"""How a torchvision classifier made for 224x224 photographs is fitted to small images."""

import torch
from torch import nn

from mlgsearch.errors import UserError
from mlgsearch.train.light_torch import models

_SUPPORTED = (
    "ResNet (ResNeXt, Wide ResNet), DenseNet, RegNet, MobileNetV2 and V3, MNASNet, EfficientNet "
    "and ShuffleNetV2"
)


def use_cifar_stem(network: nn.Module, name: str) -> None:
    """Take away, in place, the early loss of resolution.

    ResNets and DenseNets begin with a 3x3 convolution of stride 1 and without a max-pool, as the
    CIFAR literature does; of MobileNets, MNASNets and EfficientNets the first two strided
    convolutions get stride 1; of RegNets the stem, of ShuffleNets the stem and without a max-pool.

    Raises:
        UserError: the network is of another kind.
    """
    if isinstance(network, models.ResNet):
        network.conv1 = _small_stem(network.conv1)
        network.maxpool = nn.Identity()
    elif isinstance(network, models.DenseNet):
        network.features.conv0 = _small_stem(network.features.conv0)
        network.features.pool0 = nn.Identity()
    elif isinstance(network, models.RegNet):
        network.stem[0].stride = (1, 1)
    elif isinstance(network, models.ShuffleNetV2):
        network.conv1[0].stride = (1, 1)
        network.maxpool = nn.Identity()
    elif isinstance(
        network, models.MobileNetV2 | models.MobileNetV3 | models.MNASNet | models.EfficientNet
    ):
        strided = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.stride != (1, 1)]
        for convolution in strided[:2]:
            convolution.stride = (1, 1)
    else:
        raise UserError(
            f"model.stem: cifar is not known for {name}, only for {_SUPPORTED}; write "
            "model.stem: imagenet to take the network as torchvision builds it"
        )


def use_channels(network: nn.Module, channels: int) -> None:
    """Make the first convolution take images of ``channels`` channels, in place."""
    for path, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            if module.in_channels != channels:
                _replace(network, path, _like(module, in_channels=channels))
            return


def drop_head_bias(network: nn.Module, name: str, classes: int) -> None:
    """Make the last linear layer bias-free, in place.

    Raises:
        UserError: the network does not end in a linear layer with ``classes`` outputs.
    """
    linear = [(path, m) for path, m in network.named_modules() if isinstance(m, nn.Linear)]
    if not linear or linear[-1][1].out_features != classes:
        raise UserError(
            f"model.head_bias: {name} does not end in a linear layer of {classes} outputs, so "
            "its bias cannot be taken away; leave model.head_bias out"
        )
    path, head = linear[-1]
    bare = nn.Linear(head.in_features, classes, bias=False)
    with torch.no_grad():
        bare.weight.copy_(head.weight)
    _replace(network, path, bare)


def _small_stem(stem: nn.Conv2d) -> nn.Conv2d:
    return _like(stem, kernel_size=3, stride=1, padding=1)


def _like(convolution: nn.Conv2d, **changes: int) -> nn.Conv2d:
    """Make a new convolution as ``convolution`` but for ``changes``, freshly initialised.

    Initialised as torchvision does it for all networks above (He, fan out).
    """
    options: dict[str, object] = {
        "in_channels": convolution.in_channels,
        "out_channels": convolution.out_channels,
        "kernel_size": convolution.kernel_size,
        "stride": convolution.stride,
        "padding": convolution.padding,
        "dilation": convolution.dilation,
        "bias": convolution.bias is not None,
    }
    made = nn.Conv2d(**(options | changes))  # type: ignore[arg-type]
    nn.init.kaiming_normal_(made.weight, mode="fan_out", nonlinearity="relu")
    if made.bias is not None:
        nn.init.zeros_(made.bias)
    return made


def _replace(network: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, child = path.rpartition(".")
    setattr(network.get_submodule(parent), child, module)
