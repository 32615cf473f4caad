"""A chain of convolutions without shortcuts, made to train in a few epochs."""

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Added to the patches' variances before they are divided by: about the noise of 8-bit pixels.
_WHITENING_EPS = 5e-4
#: Width of block 1, and of blocks 2 and 3, against `ModelSpec.width`.
_WIDTHS = (4, 16, 16)


class ChainBlock(nn.Module):
    """Two 3x3 convolutions; the first is followed by a 2x2 max-pool, both by batch-norm and GELU.

    The first filters of a convolution begin as the identity, as far as it has input channels.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        for convolution in (self.conv1, self.conv2):
            identity = convolution.weight.data[: convolution.in_channels]
            nn.init.dirac_(identity)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels_in, H, W) to (B, channels_out, H // 2, W // 2)."""
        x = functional.gelu(self.bn1(functional.max_pool2d(self.conv1(x), 2)))
        return functional.gelu(self.bn2(self.conv2(x)))


class ChainNet(nn.Module):
    """A 2x2 whitening convolution, three blocks of two 3x3 convolutions, and a linear head.

    The first convolution's filters are not trained: `fit_input` sets them from images. Its shape
    and its start are those of the network in Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds on a
    Single GPU" (arXiv 2404.00498).
    """

    def __init__(self, *, width: int, classes: int, channels: int, head_bias: bool) -> None:
        super().__init__()
        first, second, third = (times * width for times in _WIDTHS)
        self.conv1 = nn.Conv2d(channels, 8 * channels, 2)
        self.conv1.weight.requires_grad_(False)
        self.block1 = ChainBlock(8 * channels, first)
        self.block2 = ChainBlock(first, second)
        self.block3 = ChainBlock(second, third)
        self.fc = nn.Linear(third, classes, bias=head_bias)
        assert self.conv1.bias is not None
        nn.init.zeros_(self.conv1.bias)

    @torch.no_grad()
    def fit_input(self, images: Tensor) -> None:
        """Make the first convolution decorrelate the pixels of 2x2 patches.

        Its filters become the principal components of the patches, each divided by its deviation,
        and their negatives.

        Args:
            images: (B, channels, H, W), normalised as in training.
        """
        weight = self.conv1.weight
        patches = functional.unfold(images.float(), weight.shape[-1])  # (B, channels * 4, places)
        patches = patches.permute(1, 0, 2).flatten(1)
        covariance = (patches @ patches.T / patches.shape[1]).cpu()
        variances, components = torch.linalg.eigh(covariance)
        filters = components.T / (variances + _WHITENING_EPS).sqrt()[:, None]
        weight.copy_(torch.cat([filters, -filters]).reshape(weight.shape))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, H, W) to logits (B, classes)."""
        x = self.block3(self.block2(self.block1(functional.gelu(self.conv1(x)))))
        logits: Tensor = self.fc(x.amax((2, 3)))
        return logits
