"""A layer's factors as they are multiplied: quantised values, not what is trained."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from mlgsearch.mlg.setting import LayerSetting


@dataclass(frozen=True, eq=False)
class Factors:
    """The quantised factors of one layer, in the shapes of ``LayerSetting.factor_shapes``.

    ``basis`` always exists (without a level it is the weight itself); ``coeff_in`` exists with
    level 1 and ``coeff_out`` with level 2. Gradients flow to the layer's parameters.
    """

    setting: LayerSetting
    basis: Tensor
    coeff_in: Tensor | None = None
    coeff_out: Tensor | None = None

    def kernels(self) -> Tensor:
        """Generate W_c, the weight before level 2, with autocast off.

        Returns:
            (B_out or C_out, C_in*k*k), or the weight's own shape where there is no level.
        """
        if self.coeff_in is None:
            return self.basis
        with _autocast_off(self.basis.device.type):
            return (self.coeff_in @ self.basis).flatten(1)  # (rows, C_in, k*k), flattened

    def weight(self, shape: tuple[int, ...]) -> Tensor:
        """Generate the dense weight, given the layer's weight shape, with autocast off."""
        kernels = self.kernels()
        if self.coeff_out is not None:
            with _autocast_off(self.basis.device.type):
                kernels = self.coeff_out @ kernels  # (C_out, C_in*k*k)
        return kernels.reshape(shape)


def _autocast_off(device_type: str) -> AbstractContextManager[object]:
    """Switch autocast off, where the device knows it (meta does not): weights stay exact."""
    if not torch.amp.is_autocast_available(device_type):
        return nullcontext()
    return torch.autocast(device_type, enabled=False)
