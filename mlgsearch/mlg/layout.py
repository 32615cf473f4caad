"""Weights as torch's modules lay them out, and as (C_out, C_in, ...), which is what MLG factors."""

from torch import Tensor

from mlgsearch.mlg.setting import LayerShape


def from_layout(weight: Tensor, shape: LayerShape) -> Tensor:
    """Return a module's weight as (C_out, C_in of a group, ...)."""
    if not shape.is_transposed:
        return weight
    groups, kernel = shape.groups, shape.kernel
    parts = weight.reshape(groups, shape.c_in, shape.c_out // groups, *kernel)
    return parts.transpose(1, 2).reshape(shape.canonical_shape)


def to_layout(weight: Tensor, shape: LayerShape) -> Tensor:
    """Return (C_out, C_in of a group, ...) as the module has it."""
    if not shape.is_transposed:
        return weight
    groups, kernel = shape.groups, shape.kernel
    parts = weight.reshape(groups, shape.c_out // groups, shape.c_in, *kernel)
    return parts.transpose(1, 2).reshape(shape.weight_shape)
