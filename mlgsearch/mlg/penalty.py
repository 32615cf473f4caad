"""The penalty that keeps each level's vectors orthonormal."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from mlgsearch.mlg.factoring.factors import Factors
from mlgsearch.mlg.factoring.parametrization import parametrizations


class Orthonormality:
    """Every compressed layer's deviation from orthonormal vectors, summed.

    With mse(G) the mean squared entry of G - I, over all Gram matrices G of a factor, and ~ the
    division of every column by its norm (no gradient through the norm), a layer has

    - with level 1 and B_in >= 2: ``mse(basis[o] @ basis[o].T)`` over all o, and
      ``mse(~coeff_in[o].T @ ~coeff_in[o])``
    - with level 2 alone and B_out >= 2: ``mse(basis @ basis.T)``
    - with level 2 and B_out >= 2: ``mse(~coeff_out.T @ ~coeff_out)``

    where the factors are as they are before rounding. Smaller is better. Build it anew after
    factors were replaced or moved.

    Source: Gu et al. 2021 (arXiv 2108.11430), the multi-level orthonormality regularisation.
    """

    def __init__(self, model: nn.Module) -> None:
        self._layers = list(parametrizations(model))

    def __call__(self) -> Tensor:
        """Return the sum as a scalar; 0, on the CPU, without any level."""
        matrices: list[Tensor] = []
        are_columns: list[bool] = []
        for latents, mlg in self._layers:
            for matrix, is_columns in _vectors(mlg.smooth(*latents)):
                matrices.append(matrix)
                are_columns.append(is_columns)
        if not matrices:
            return torch.zeros(())
        deviation: Tensor = _Deviation.apply(are_columns, *matrices)
        return deviation


def _vectors(factors: Factors) -> Iterator[tuple[Tensor, bool]]:
    """Yield a layer's matrices, and whether their columns of any length are meant or their rows."""
    if factors.coeff_in is not None:
        if factors.setting.base_in >= 2:
            yield factors.basis, False
            yield factors.coeff_in, True
    elif factors.setting.base_out >= 2:
        yield factors.basis, False
    if factors.coeff_out is not None and factors.setting.base_out >= 2:
        yield factors.coeff_out, True


class _Deviation(torch.autograd.Function):
    """The sum of ``mse(G)`` over matrices, with its gradient in closed form.

    Left to autograd, the many small operations took a fifth of a small network's training step.
    """

    @staticmethod
    def forward(ctx: Any, are_columns: Sequence[bool], *matrices: Tensor) -> Tensor:
        """Sum over rows of (..., n, m), or over columns of (..., m, n) divided by their norms."""
        deviations, saved = [], []
        for matrix, is_columns in zip(matrices, are_columns, strict=True):
            if is_columns:
                norms = torch.linalg.vector_norm(matrix, dim=-2, keepdim=True).clamp_min_(1e-8)
                vectors = matrix / norms
                gram = vectors.mT @ vectors
                saved += [vectors, gram, norms]
            else:
                gram = matrix @ matrix.mT
                saved += [matrix, gram]
            gram.diagonal(dim1=-2, dim2=-1).sub_(1)
            entries = gram.reshape(-1)
            deviations.append(torch.dot(entries, entries) / len(entries))
        ctx.save_for_backward(*saved)
        ctx.are_columns = are_columns
        return torch.stack(deviations).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return each matrix's gradient, none of it through the norms."""
        gradients: list[Tensor | None] = [None]
        saved = iter(ctx.saved_tensors)
        fourfold = 4 * gradient
        for is_columns in ctx.are_columns:
            vectors, gram = next(saved), next(saved)
            weighted = gram * (fourfold / gram.numel())
            gradients.append(
                (vectors @ weighted).div_(next(saved)) if is_columns else weighted @ vectors
            )
        return tuple(gradients)
