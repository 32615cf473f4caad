"""A convolution that takes another way where torch's own is slow: on a CPU in bfloat16.

There (torch 2.14.1 with oneDNN, AVX-512, one thread, batch 64)

- a 1x1 convolution without a stride takes up to a fifth longer than the matrix product it is
- the backward pass of a depthwise convolution falls to a loop without vectors: for the input where
  it has a stride (20 times as long as in float32), for the weight where the kernel is wider than 3
  (3 times as long)

Everywhere else it is ``torch.nn.functional.conv2d``. Both ways differ by rounding only.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

#: (height, width)
Pair = tuple[int, int]


def convolve(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = (1, 1),
    padding: str | Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Tensor:
    """Convolve (N, C_in, H, W) or (C_in, H, W), as ``torch.nn.functional.conv2d`` does."""
    is_autocast = torch.is_autocast_enabled("cpu")
    if (is_autocast or input.dtype is torch.bfloat16) and _is_bfloat16_on_cpu(input, is_autocast):
        kernel = weight.shape[2:]
        if (
            kernel == (1, 1)
            and groups == 1
            and (stride, padding) == ((1, 1), (0, 0))
            and input.is_contiguous(memory_format=torch.channels_last)
        ):
            product = F.linear(input.permute(0, 2, 3, 1), weight.flatten(1), bias)
            return product.permute(0, 3, 1, 2)
        if (
            groups > 1
            and weight.shape[1] == 1
            and isinstance(padding, tuple)
            and (stride != (1, 1) or max(kernel) > 3)
        ):
            halves = input.to(torch.bfloat16), weight.to(torch.bfloat16)
            hidden: Tensor = _Depthwise.apply(*halves, stride, padding, dilation, groups)
            return hidden if bias is None else hidden + bias[:, None, None].to(hidden.dtype)
    return F.conv2d(input, weight, bias, stride, padding, dilation, groups)


def _is_bfloat16_on_cpu(input: Tensor, is_autocast: bool) -> bool:
    """Whether a batch of images is convolved in bfloat16 on a CPU."""
    dtype = torch.get_autocast_dtype("cpu") if is_autocast else input.dtype
    return input.device.type == "cpu" and input.dim() == 4 and dtype is torch.bfloat16


class _Depthwise(torch.autograd.Function):
    """A depthwise convolution in bfloat16 whose slow gradients are computed in float32."""

    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        weight: Tensor,
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        groups: int,
    ) -> Tensor:
        ctx.save_for_backward(input, weight)
        ctx.geometry = stride, padding, dilation, groups
        return F.conv2d(input, weight, None, stride, padding, dilation, groups)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        tensors = (gradient, *ctx.saved_tensors)
        wide = tuple(tensor.float() for tensor in tensors)
        stride, padding, dilation, groups = ctx.geometry
        is_strided, is_wide = stride != (1, 1), max(tensors[2].shape[2:]) > 3
        gradients: list[Tensor | None] = [None, None]
        for at, is_slow in enumerate((is_strided, is_wide)):
            if ctx.needs_input_grad[at]:
                found = torch.ops.aten.convolution_backward(
                    *(wide if is_slow else tensors),
                    None,
                    stride,
                    padding,
                    dilation,
                    False,
                    (0, 0),
                    groups,
                    (at == 0, at == 1, False),
                )
                gradients[at] = found[at].to(gradient.dtype)
        return (*gradients, None, None, None, None)
