"""Normalisation that is evaluated as it is stored in half precision.

Its class is set on an existing module. Training is torch's own, in full precision; eval mode rounds
each channel's scale and shift (of a layer without running statistics: its weight and bias) to
float16, as a packed file does, so that both give the same.
"""

from copy import deepcopy
from typing import Literal, TypeGuard, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from mlgsearch.mlg.batch_norm import has_statistics, scale_and_shift, set_scale_and_shift

#: Bits of a norm's scale and shift.
NormBits = Literal[16, 32]

_LARGEST = torch.finfo(torch.float16).max


class HalfNorm(_BatchNorm):
    """What the twins of torch's batch-norms have in common."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (N, C, ...): by the batch's statistics in training, else x*scale + shift."""
        if self.training or self.running_mean is None:
            return super().forward(input)
        self._check_input_dim(input)  # type: ignore[no-untyped-call]
        scale, shift = (t.to(self.running_mean) for t in half_scale_and_shift(self))
        # What `set_scale_and_shift` makes of a plain batch-norm: the same kernel, the same bits.
        return functional.batch_norm(
            input,
            torch.zeros_like(self.running_mean),
            torch.full_like(self.running_mean, 1 - self.eps),
            scale,
            shift,
            eps=self.eps,
        )


class HalfBatchNorm1d(HalfNorm, nn.BatchNorm1d):
    """``BatchNorm1d``, in half precision."""


class HalfBatchNorm2d(HalfNorm, nn.BatchNorm2d):
    """``BatchNorm2d``, in half precision."""


class HalfBatchNorm3d(HalfNorm, nn.BatchNorm3d):
    """``BatchNorm3d``, in half precision."""


class HalfAffine(nn.Module):
    """What the twins of norms without running statistics have in common."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise as torch does: in eval mode with weight and bias as they are stored."""
        if self.training:
            return cast(Tensor, super().forward(input))
        full = dict(self._parameters)
        try:
            self._parameters.update(
                {
                    name: nn.Parameter(_rounded(p), False)
                    for name, p in full.items()
                    if p is not None
                }
            )
            return cast(Tensor, super().forward(input))
        finally:
            self._parameters.update(full)


class HalfGroupNorm(HalfAffine, nn.GroupNorm):
    """``GroupNorm``, in half precision."""


class HalfLayerNorm(HalfAffine, nn.LayerNorm):
    """``LayerNorm``, in half precision."""


class HalfRmsNorm(HalfAffine, nn.RMSNorm):
    """``RMSNorm``, in half precision."""


_TWINS: dict[type[nn.Module], type[HalfNorm]] = {
    nn.BatchNorm1d: HalfBatchNorm1d,
    nn.BatchNorm2d: HalfBatchNorm2d,
    nn.BatchNorm3d: HalfBatchNorm3d,
}

_AFFINE_TWINS: dict[type[nn.Module], type[HalfAffine]] = {
    nn.GroupNorm: HalfGroupNorm,
    nn.LayerNorm: HalfLayerNorm,
    nn.RMSNorm: HalfRmsNorm,
}


def is_half(module: nn.Module) -> TypeGuard[HalfNorm | HalfAffine]:
    """Return whether a module is a normalisation in half precision."""
    return isinstance(module, HalfNorm | HalfAffine)


def is_half_affine(module: nn.Module) -> bool:
    """Return whether a module is, or can be made, a norm whose weight and bias are rounded."""
    return type(module) in _AFFINE_TWINS or isinstance(module, HalfAffine)


def can_be_half(module: nn.Module) -> bool:
    """Return whether a module is, or can be made, a normalisation in half precision.

    Such are torch's own, batch-norms where they use running statistics; a subclass stays in full
    precision.
    """
    is_batch_norm = type(module) in _TWINS or isinstance(module, HalfNorm)
    return is_half_affine(module) or (has_statistics(module) and is_batch_norm)


def halve_norms(network: nn.Module) -> None:
    """Set the class of every norm that can be half, in place; its state stays the same."""
    for module in network.modules():
        if can_be_half(module) and not is_half(module):
            module.__class__ = (_TWINS | _AFFINE_TWINS)[type(module)]


def norm_bits_of(network: nn.Module) -> NormBits:
    """Return how a network stores its normalisation."""
    return 16 if any(is_half(module) for module in network.modules()) else 32


def to_half(numbers: Tensor) -> Tensor:
    """Round to float16; what is too large becomes the largest, 65504, what is NaN stays so."""
    return numbers.clamp(-_LARGEST, _LARGEST).to(torch.float16)


def half_scale_and_shift(norm: HalfNorm) -> tuple[Tensor, Tensor]:
    """Return each channel's scale and shift, (C,) float16 on the CPU."""
    scale, shift = scale_and_shift(norm)
    return to_half(scale), to_half(shift)


def plain_norm(norm: HalfNorm | HalfAffine) -> nn.Module:
    """Return a norm of torch's own class that computes the same in eval mode.

    Of a batch-norm the statistics are 0 and 1, weight and bias are the scale and the shift.
    """
    originals = {twin: plain for plain, twin in (_TWINS | _AFFINE_TWINS).items()}
    if isinstance(norm, HalfAffine):
        copied: nn.Module = deepcopy(norm)
        copied.__class__ = originals[type(norm)]
        for parameter in copied.parameters():
            parameter.copy_(_rounded(parameter))
        return copied
    scale, shift = half_scale_and_shift(norm)
    plain = cast(_BatchNorm, originals[type(norm)](norm.num_features, norm.eps, norm.momentum))
    plain.to(norm.running_mean)
    set_scale_and_shift(plain, scale, shift)
    return plain.train(norm.training)


def _rounded(numbers: Tensor) -> Tensor:
    return to_half(numbers.detach()).to(numbers.dtype)
