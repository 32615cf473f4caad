"""Batch-norm as it is in eval mode: one scale and one shift per channel."""

from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm


def has_statistics(module: nn.Module) -> TypeGuard[_BatchNorm]:
    """Return whether a module is a batch-norm that uses running statistics in eval mode."""
    return isinstance(module, _BatchNorm) and module.running_var is not None


@torch.no_grad()
def scale_and_shift(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """Return each channel's scale and shift, (C,) float32 on the CPU: y = x*scale + shift.

    They are asked of torch's own kernel, which computes them first and then that line: a channel
    of one without mean and shift gives the scale, a channel of zero the shift. So its rounding is
    theirs, and `set_scale_and_shift` gives back the same outputs bit for bit. That holds on a CPU;
    a GPU's kernel computes in another order.
    """
    assert norm.running_mean is not None
    assert norm.running_var is not None
    mean, variance = norm.running_mean.cpu(), norm.running_var.cpu()
    zeros, ones = torch.zeros_like(mean), torch.ones_like(mean)
    weight = ones if norm.weight is None else norm.weight.cpu()
    bias = zeros if norm.bias is None else norm.bias.cpu()
    scale = functional.batch_norm(ones[None], zeros, variance, weight, zeros, eps=norm.eps)[0]
    shift = functional.batch_norm(zeros[None], mean, variance, weight, bias, eps=norm.eps)[0]
    return scale, shift


@torch.no_grad()
def set_scale_and_shift(norm: _BatchNorm, scale: Tensor, shift: Tensor) -> None:
    """Make a batch-norm compute x*scale + shift in eval mode, in place; training is over for it.

    The mean becomes 0 and the variance 1 - eps, so that 1/sqrt(variance + eps) is exactly 1; eps
    stays, for it is not in a state_dict.
    """
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.zero_()
    norm.running_var.fill_(1 - norm.eps)
    norm.affine = True
    norm.weight = nn.Parameter(scale.to(norm.running_mean, copy=True))
    norm.bias = nn.Parameter(shift.to(norm.running_mean, copy=True))
