"""Convolutions and linear layers that run on their factors."""

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mlgsearch.mlg.factoring.parametrization import latents_of, mlg_of
from mlgsearch.mlg.running.convolve import convolve
from mlgsearch.mlg.running.own_forms import Operands, OwnForms
from mlgsearch.mlg.setting import ExecutionForm, LayerShape


class MlgConvolution(OwnForms, nn.modules.conv._ConvNd):
    """A convolution that is computed from its factors in the form that costs least.

    All forms equal the dense one but for rounding.
    """

    #: What convolves, and torch's function for that.
    _convolve: Callable[..., Tensor]
    _torchs: Callable[..., Tensor]

    def _compute(self, input: Tensor) -> Tensor:
        """Convolve (N, C_in, H, W) or (C_in, H, W); in other dimensions likewise."""
        if self.input_quantiser is not None:
            input = self.input_quantiser(input)
        form, operands = self._form_and_operands(input)
        if form == "dense":
            if self.padding_mode == "zeros":
                self._make_ready(
                    input,
                    self._torchs,
                    operands[0],
                    self.bias,
                    self.stride,
                    self.padding,
                    self.dilation,
                    self.groups,
                )
            return self._spatial(input, operands[0], self.groups, self.bias)
        if form == "level2":
            kernels, coeff_out = operands
            hidden = self._spatial(input, kernels, 1)  # (N, B_out, H_out, W_out)
            return self._convolve(hidden, coeff_out, self.bias)
        mix, basis, *last = operands
        # One filter a channel, then a sum: a grouped convolution is slower on a CPU, and so is
        # leaving the sum to the last convolution, which then has B_in times the channels.
        hidden = self._spatial(self._convolve(input, mix), basis, len(basis))
        rows = last[0].shape[1] if last else self.out_channels
        channels_at = -1 - len(self.kernel_size)
        summed, *others = torch.split(
            hidden, rows, channels_at
        )  # B_in times (N, rows, H_out, W_out)
        for other in others:
            summed = summed + other
        if last:
            return self._convolve(summed, last[0], self.bias)
        if self.bias is None:
            return summed
        # Under autocast the sum has the lower precision, as a convolution with a bias would.
        return summed + self.bias.reshape(-1, *self._ones).to(summed.dtype)

    @property
    def _ones(self) -> tuple[int, ...]:
        """The kernel of a 1x1 convolution."""
        return (1,) * len(self.kernel_size)

    def _make_operands(self, form: ExecutionForm) -> Operands:
        if form == "dense":
            return (self.weight,)
        factors = mlg_of(self).multiplied(*latents_of(self))
        rows = factors.basis.shape[0]
        if form == "level2":
            assert factors.coeff_out is not None
            kernels = factors.kernels().reshape(rows, self.in_channels, *self.kernel_size)
            return kernels, factors.coeff_out.reshape(*factors.coeff_out.shape, *self._ones)
        assert factors.coeff_in is not None
        base_in = factors.basis.shape[1]
        # All rows of the first basis vector, then all of the second: (B_in, rows, ...), flattened.
        mix = factors.coeff_in.permute(2, 0, 1)
        mix = mix.reshape(rows * base_in, self.in_channels, *self._ones)
        basis = factors.basis.transpose(0, 1).reshape(rows * base_in, 1, *self.kernel_size)
        if factors.coeff_out is None:
            return mix, basis
        return mix, basis, factors.coeff_out.reshape(*factors.coeff_out.shape, *self._ones)

    def _spatial(
        self, input: Tensor, weight: Tensor, groups: int, bias: Tensor | None = None
    ) -> Tensor:
        """Convolve with this layer's stride, padding and dilation."""
        stride: Any = self.stride
        padding: Any = self.padding
        dilation: Any = self.dilation
        if self.padding_mode != "zeros":
            input = F.pad(input, self._reversed_padding_repeated_twice, mode=self.padding_mode)
            padding = (0,) * len(self.kernel_size)
        return self._convolve(input, weight, bias, stride, padding, dilation, groups)

    def _workload(self, input: Tensor) -> tuple[LayerShape, int]:
        both_ends = self._reversed_padding_repeated_twice  # of the last side first
        sides = len(self.kernel_size)
        out_positions = 1
        for at in range(-1, -1 - sides, -1):
            padding = both_ends[-2 * at - 2] + both_ends[-2 * at - 1]
            reach = self.dilation[at] * (self.kernel_size[at] - 1)
            out_positions *= (input.shape[at] + padding - reach - 1) // self.stride[at] + 1
        in_positions = prod(input.shape[-sides:])
        shape = replace(mlg_of(self).shape, out_positions=out_positions, in_positions=in_positions)
        return shape, input.shape[0] if input.dim() == 2 + sides else 1


class MlgConv1d(MlgConvolution, nn.Conv1d):
    """``Conv1d`` on its factors."""

    _convolve = staticmethod(F.conv1d)
    _torchs = staticmethod(F.conv1d)


class MlgConv2d(MlgConvolution, nn.Conv2d):
    """``Conv2d`` on its factors."""

    _convolve = staticmethod(convolve)
    _torchs = staticmethod(F.conv2d)


class MlgConv3d(MlgConvolution, nn.Conv3d):
    """``Conv3d`` on its factors."""

    _convolve = staticmethod(F.conv3d)
    _torchs = staticmethod(F.conv3d)


class MlgLinear(OwnForms, nn.Linear):
    """A linear layer that is computed from its factors where that costs less."""

    def _compute(self, input: Tensor) -> Tensor:
        """Map (..., C_in) to (..., C_out)."""
        if self.input_quantiser is not None:
            input = self.input_quantiser(input)
        form, operands = self._form_and_operands(input)
        if form == "dense":
            self._make_ready(input, F.linear, operands[0], self.bias)
            return F.linear(input, operands[0], self.bias)
        basis, coeff_out = operands
        return F.linear(F.linear(input, basis), coeff_out, self.bias)

    def _make_operands(self, form: ExecutionForm) -> Operands:
        if form == "dense":
            return (self.weight,)
        factors = mlg_of(self).multiplied(*latents_of(self))
        assert factors.coeff_out is not None
        return factors.basis, factors.coeff_out

    def _workload(self, input: Tensor) -> tuple[LayerShape, int]:
        shape = replace(mlg_of(self).shape, out_positions=1, in_positions=1)
        return shape, input.numel() // self.in_features
