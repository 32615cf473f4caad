"""The penalty that keeps each level's vectors orthonormal."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from mlgsearch.mlg.factoring.factors import Factors
from mlgsearch.mlg.kinds import compressible_layers
from mlgsearch.mlg.running.layer import is_compressed, latents_of, mlg_of


def orthonormality(model: nn.Module) -> Tensor:
    """Sum every compressed layer's deviation from orthonormal vectors; a scalar, 0 without levels.

    With mse(G) the mean squared entry of G - I, over all Gram matrices G of a factor, and ~ the
    division of every column by its norm (no gradient through the norm), a layer has

    - with level 1 and B_in >= 2: ``mse(basis[o] @ basis[o].T)`` over all o, and
      ``mse(~coeff_in[o].T @ ~coeff_in[o])``
    - with level 2 alone and B_out >= 2: ``mse(basis @ basis.T)``
    - with level 2 and B_out >= 2: ``mse(~coeff_out.T @ ~coeff_out)``

    where the factors are as they are before rounding. Smaller is better.

    Source: Gu et al. 2021 (arXiv 2108.11430), the multi-level orthonormality regularisation.
    """
    total = torch.zeros(())
    for layer in compressible_layers(model).values():
        if is_compressed(layer.module, layer.parameter):
            latents = latents_of(layer.module, layer.parameter)
            smooth = mlg_of(layer.module, layer.parameter).smooth(*latents)
            total = total.to(smooth.basis.device) + _layer_penalty(smooth)
    return total


def _layer_penalty(factors: Factors) -> Tensor:
    total = factors.basis.new_zeros(())
    if factors.coeff_in is not None:
        if factors.setting.base_in >= 2:
            total = total + _deviation(factors.basis)
            total = total + _deviation(_unit_columns(factors.coeff_in).mT)
    elif factors.setting.base_out >= 2:
        total = total + _deviation(factors.basis)
    if factors.coeff_out is not None and factors.setting.base_out >= 2:
        total = total + _deviation(_unit_columns(factors.coeff_out).mT)
    return total


def _unit_columns(matrix: Tensor) -> Tensor:
    """Divide the columns of (..., m, n) by their norms, which take no gradient; zero stays zero."""
    norms = torch.linalg.vector_norm(matrix.detach(), dim=-2, keepdim=True)
    unit: Tensor = matrix / norms.clamp_min(1e-8)
    return unit


def _deviation(rows: Tensor) -> Tensor:
    """Return the mean squared entry of rows @ rows.T - I, for (..., n, m)."""
    gram = rows @ rows.mT
    eye = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    deviation: Tensor = functional.mse_loss(gram, eye.expand_as(gram))
    return deviation
