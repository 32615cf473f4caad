"""The small residual networks of He et al., "Deep Residual Learning" (2016), section 4.2."""

from torch import Tensor, nn
from torch.nn import functional


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut.

    Where the shape changes the shortcut is a 1x1 convolution (the paper's option B), so that it
    can be compressed like any other layer.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False),
                nn.BatchNorm2d(channels_out),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels_in, H, W) to (B, channels_out, ceil(H/stride), ceil(W/stride))."""
        out = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        out = self.bn2(self.conv2(out))
        return functional.relu(out + self.shortcut(x), inplace=True)


class CifarResNet(nn.Module):
    """A 3x3 stem, three stages of ``blocks`` blocks at widths w, 2w, 4w, and a linear head.

    It has ``6 * blocks + 2`` weighted layers, the two 1x1 shortcuts aside.
    """

    def __init__(
        self, blocks: int, *, width: int, classes: int, channels: int, head_bias: bool
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = _stage(blocks, width, width, stride=1)
        self.layer2 = _stage(blocks, width, 2 * width, stride=2)
        self.layer3 = _stage(blocks, 2 * width, 4 * width, stride=2)
        self.fc = nn.Linear(4 * width, classes, bias=head_bias)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, H, W) to logits (B, classes)."""
        out = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        out = self.layer3(self.layer2(self.layer1(out)))
        logits: Tensor = self.fc(out.mean((2, 3)))
        return logits


def _stage(blocks: int, channels_in: int, channels_out: int, *, stride: int) -> nn.Sequential:
    return nn.Sequential(
        ResidualBlock(channels_in, channels_out, stride),
        *(ResidualBlock(channels_out, channels_out, 1) for _ in range(blocks - 1)),
    )
