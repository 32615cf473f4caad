"""Muon whose steps are shares of each tensor's own size."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from mlgsearch.train.loop.relative_adamw import RelativeAdamW

#: The polynomial whose iteration draws singular values to between 0.7 and 1.2, and how often.
_A, _B, _C = 3.4445, -4.7750, 2.0315
_ITERATIONS = 5
_EPS = 1e-7

#: The least root mean square of a weight that is kept: one of zeros would never move.
_LEAST_SIZE = 1e-3


class RelativeMuon(RelativeAdamW):
    """Weights move along their orthogonalised momentum, all else as in `RelativeAdamW`.

    A weight counts as a matrix of one row for each output. All singular values of its step are
    about equal, so rare directions move as fast as common ones. The root mean square of a step is
    ``lr`` times the weight's size, and the weight keeps the length that it has at construction: a
    normalisation behind it makes up for that, and decay has no effect.

    Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks", and the
    same author's airbench for the length.

    Args of the constructor, beside those of `RelativeAdamW`:
        groups: one of weights has ``matrices`` as well, where they lie in its parameter.
        momentum: decay of the running mean of gradients, Nesterov's.
        dtype: in which steps are orthogonalised.
    """

    def __init__(
        self, groups: Iterable[dict[str, Any]], lr: float, *, momentum: float, dtype: torch.dtype
    ) -> None:
        super().__init__(groups, lr)
        self._momentum = momentum
        self._dtype = dtype
        for group in self.param_groups:
            (parameter,) = group["params"]
            if "matrices" in group:
                weights = [matrix.of(parameter.detach()) for matrix in group["matrices"]]
                least = [_LEAST_SIZE * weight.numel() ** 0.5 for weight in weights]
                lengths = torch.stack([weight.norm() for weight in weights])
                self.state[parameter]["lengths"] = lengths.maximum(lengths.new_tensor(least))
                del self.state[parameter]["square"]  # as large as all weights, and not used

    def _move(self, group: dict[str, Any]) -> None:
        if "matrices" not in group:
            super()._move(group)
            return
        (parameter,) = group["params"]
        state: dict[str, Any] = self.state[parameter]
        state["mean"].lerp_(parameter.grad, 1 - self._momentum)
        direction = parameter.grad.lerp(state["mean"], self._momentum)
        for matrix, length in zip(group["matrices"], state["lengths"], strict=True):
            weight, size = matrix.of(parameter), matrix.of(state["size"])[0, 0]
            step = orthogonalised(matrix.of(direction).to(self._dtype)).to(weight.dtype)
            # Its root mean square is one over that of the longer side.
            weight.sub_(step * (group["lr"] * size * max(weight.shape) ** 0.5))
            weight.mul_(length / weight.norm().clamp_min(_EPS))


def orthogonalised(matrix: Tensor) -> Tensor:
    """Return about U V^T of a matrix U S V^T, in its own dtype, by Newton-Schulz iterations."""
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if is_tall else matrix
    x = x / x.norm().clamp_min(_EPS)
    for _ in range(_ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=_B, alpha=_C), x, beta=_A)
    return x.T if is_tall else x
