"""The penalty that keeps each level's vectors orthonormal."""

from torch import Tensor, nn


def orthonormality(model: nn.Module) -> Tensor:
    """Sum every compressed layer's deviation from orthonormal vectors; a scalar, 0 without levels."""
    raise NotImplementedError
