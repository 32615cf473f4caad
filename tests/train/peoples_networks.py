"""Networks as people bring them, for ``model: {name: tests.train.peoples_networks:NAME}``."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def _pooled(*layers: nn.Module, features: int, classes: int) -> nn.Sequential:
    head = nn.Linear(features, classes)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)


def plain(classes: int, channels: int, **_: Any) -> nn.Sequential:
    first, second = nn.Conv2d(channels, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1)
    return _pooled(first, nn.ReLU(), second, nn.ReLU(), features=16, classes=classes)


def half(classes: int, channels: int, **_: Any) -> nn.Module:
    return plain(classes, channels).half()


def double(classes: int, channels: int, **_: Any) -> nn.Module:
    return plain(classes, channels).double()


def compiled(classes: int, channels: int, **_: Any) -> Any:
    return torch.compile(plain(classes, channels))


def frozen(classes: int, channels: int, **_: Any) -> nn.Module:
    network = plain(classes, channels)
    network[0].requires_grad_(False)
    return network


def weight_norm(classes: int, channels: int, **_: Any) -> nn.Module:
    network = plain(classes, channels)
    nn.utils.parametrizations.weight_norm(network[2])
    return network


def spectral_norm(classes: int, channels: int, **_: Any) -> nn.Module:
    network = plain(classes, channels)
    nn.utils.parametrizations.spectral_norm(network[2])
    return network


def tied(classes: int, channels: int, **_: Any) -> nn.Module:
    network = plain(classes, channels)
    again = nn.Conv2d(16, 16, 3, padding=1)
    again.weight = network[2].weight  # type: ignore[assignment]
    return nn.Sequential(*network[:4], again, *network[4:])


def called_twice(classes: int, channels: int, **_: Any) -> nn.Module:
    network = plain(classes, channels)
    return nn.Sequential(*network[:4], network[2], *network[4:])


def group_norm(classes: int, channels: int, **_: Any) -> nn.Module:
    layers = nn.Conv2d(channels, 16, 3), nn.GroupNorm(4, 16), nn.ReLU(), nn.Conv2d(16, 16, 3)
    return _pooled(*layers, features=16, classes=classes)


def transposed(classes: int, channels: int, **_: Any) -> nn.Module:
    layers = nn.Conv2d(channels, 16, 3, 2, 1), nn.ReLU(), nn.ConvTranspose2d(16, 64, 4, 2, 1)
    return _pooled(*layers, features=64, classes=classes)


class Rows(nn.Module):
    """Takes the rows of an image for a sequence, through ``body``."""

    def __init__(self, body: nn.Module, features: int, classes: int) -> None:
        super().__init__()
        self.body, self.head = body, nn.Linear(features, classes)

    def forward(self, images: Tensor) -> Tensor:
        rows = images.flatten(1, 2)  # (N, C*H, W)
        if isinstance(self.body, nn.LSTM):
            return self.head(self.body(rows.mT)[0][:, -1])  # type: ignore[no-any-return]
        if isinstance(self.body, nn.Conv1d):
            return self.head(functional.relu(self.body(rows)).mean(-1))  # type: ignore[no-any-return]
        return self.head(self.body(rows.mT).mean(1))  # type: ignore[no-any-return]


def conv1d(classes: int, channels: int, image_size: tuple[int, int]) -> nn.Module:
    return Rows(nn.Conv1d(channels * image_size[0], 64, 5), 64, classes)


def lstm(classes: int, channels: int, image_size: tuple[int, int]) -> nn.Module:
    return Rows(nn.LSTM(channels * image_size[0], 32, batch_first=True), 32, classes)


def transformer(classes: int, channels: int, image_size: tuple[int, int]) -> nn.Module:
    width = channels * image_size[0]
    layer = nn.TransformerEncoderLayer(width, 2, 32, batch_first=True)
    return Rows(nn.TransformerEncoder(layer, 1, enable_nested_tensor=False), width, classes)


class Bare(nn.Module):
    """Has no layer at all, only a parameter."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, classes))

    def forward(self, images: Tensor) -> Tensor:
        return images.mean((2, 3)) @ self.weight


def no_layer(classes: int, channels: int, **_: Any) -> nn.Module:
    return Bare(channels, classes)
