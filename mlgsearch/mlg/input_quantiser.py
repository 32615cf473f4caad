"""Fake quantisation of what flows into a layer."""

from collections.abc import Iterable
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from mlgsearch.errors import SettingError

#: Bits of a compressed layer's inputs; 32 for none.
InBits = Literal[2, 3, 4, 5, 6, 7, 8, 32]

#: One number for all layers, or one for each in the network's order.
LayerInBits = InBits | tuple[InBits, ...]

#: How far a batch moves the running range, as it moves batch-norm's statistics.
MOMENTUM = 0.1


class InputQuantiser(nn.Module):
    """Rounds a tensor to 2**bits levels, evenly over the range that was seen in training.

    The value is ``(q - zero_point) * scale`` with
    ``q = clamp(round(x / scale + zero_point), 0, 2**bits - 1)``; its gradient is 1 where q was not
    clamped, 0 where it was. In training mode each batch first moves the running minimum ``low`` and
    maximum ``high`` by a tenth towards its own (the first batch sets them); they enclose zero, and
    ``zero_point`` is whole, so zero stays zero. In eval mode the range is frozen; what has seen
    nothing but zeros (scale 0) changes nothing.

    It computes in its own type, float32, whatever autocast made of the tensor. NaN stays NaN.

    Source: Jacob et al. 2018 (arXiv 1712.05877), eq. 1 and sections 2.1 and 3.1.
    """

    low: Tensor
    high: Tensor
    scale: Tensor
    zero_point: Tensor

    def __init__(self, bits: InBits) -> None:
        super().__init__()
        self.bits = bits
        for name in ("low", "high", "scale", "zero_point"):
            self.register_buffer(name, torch.zeros(()))

    def forward(self, input: Tensor) -> Tensor:
        """Return a tensor of the input's shape, in float32."""
        if self.training:
            self._observe(input)
        elif torch.compiler.is_compiling():  # a graph cannot branch on a number
            return torch.where(self.scale > 0, self._quantised(input), input)
        elif self.scale == 0:
            return input
        return self._quantised(input)

    def extra_repr(self) -> str:
        """Show the bits."""
        return f"bits={self.bits}"

    @torch.no_grad()
    def _observe(self, input: Tensor) -> None:
        """Move the range, and the scale and the zero point with it."""
        # `aminmax` takes eight times as long in channels_last (torch 2.14, CPU).
        low, high = input.detach().amin().to(self.low), input.detach().amax().to(self.high)
        share = torch.where(self.low == self.high, 1.0, MOMENTUM)
        self.low.lerp_(low.clamp(max=0), share)
        self.high.lerp_(high.clamp(min=0), share)
        self.scale.copy_((self.high - self.low) / (2**self.bits - 1))
        self.zero_point.copy_((-self.low / self._divisor()).round())

    def _quantised(self, input: Tensor) -> Tensor:
        wide = input.to(self.scale.dtype)
        if wide.requires_grad and torch.is_grad_enabled():
            value: Tensor = _Rounded.apply(wide, self._divisor(), self.zero_point, self.bits)
            return value
        codes = _codes(wide, self._divisor(), self.zero_point)
        return _values(codes, self._divisor(), self.zero_point, self.bits)

    def _divisor(self) -> Tensor:
        return self.scale.clamp_min(torch.finfo(self.scale.dtype).tiny)


def bits_by_layer(in_bits: LayerInBits, names: Iterable[str]) -> dict[str, InBits]:
    """Return the bits of each layer's inputs by its name; names are in the network's order.

    Raises:
        SettingError: a number is none that there is, or there is not one for each layer.
    """
    names = list(names)
    found = in_bits if isinstance(in_bits, tuple) else (in_bits,) * len(names)
    for bits in found if isinstance(in_bits, tuple) else (in_bits,):
        if bits not in get_args(InBits):
            raise SettingError(f"in_bits is {bits!r}, expected 2 to 8 or 32")
    if len(found) != len(names):
        raise SettingError(f"in_bits has {len(found)} numbers, but there are {len(names)} layers")
    return dict(zip(names, found, strict=True))


def parse_in_bits(text: str) -> LayerInBits:
    """Read what `write_in_bits` wrote; whether there are such bits is not looked at.

    Raises:
        ValueError: it is no number, and no numbers with commas between.
    """
    numbers: Any = tuple(map(int, text.split(",")))
    found: LayerInBits = numbers if len(numbers) > 1 else numbers[0]
    return found


def write_in_bits(in_bits: LayerInBits) -> str:
    """Return bits of inputs as a text: a number, or one for each layer with commas between."""
    return ",".join(map(str, in_bits if isinstance(in_bits, tuple) else (in_bits,)))


class _Rounded(torch.autograd.Function):
    """The levels, with a gradient that passes where no code was clamped."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, scale: Tensor, zero_point: Tensor, bits: int) -> Tensor:
        codes = _codes(input, scale, zero_point)
        ctx.save_for_backward((codes >= 0) & (codes < 2**bits))
        return _values(codes, scale, zero_point, bits)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (is_inside,) = ctx.saved_tensors
        return gradient * is_inside, None, None, None


def _codes(input: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
    """Return the nearest whole numbers, not clamped yet."""
    return (input / scale).add_(zero_point).round_()


def _values(codes: Tensor, scale: Tensor, zero_point: Tensor, bits: int) -> Tensor:
    """Return the levels of codes, in their place."""
    return codes.clamp_(0, 2**bits - 1).sub_(zero_point).mul_(scale)


class _InputQuantisedConvolution(nn.modules.conv._ConvNd):
    """What the plain convolutions of quantised inputs have in common."""

    input_quantiser: InputQuantiser

    def forward(self, input: Tensor) -> Tensor:
        """Quantise (N, C_in, ...) or (C_in, ...), then convolve."""
        output: Tensor = super().forward(self.input_quantiser(input))
        return output


class InputQuantisedConv1d(_InputQuantisedConvolution, nn.Conv1d):
    """A plain ``Conv1d`` of quantised inputs."""


class InputQuantisedConv2d(_InputQuantisedConvolution, nn.Conv2d):
    """A plain ``Conv2d`` of quantised inputs."""


class InputQuantisedConv3d(_InputQuantisedConvolution, nn.Conv3d):
    """A plain ``Conv3d`` of quantised inputs."""


class InputQuantisedLinear(nn.Linear):
    """A plain linear layer of quantised inputs."""

    input_quantiser: InputQuantiser

    def forward(self, input: Tensor) -> Tensor:
        """Quantise (..., C_in), then map to (..., C_out)."""
        return super().forward(self.input_quantiser(input))
