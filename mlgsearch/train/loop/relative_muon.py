"""Muon whose steps are shares of each tensor's own size."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from mlgsearch.train.loop.flat import Matrix
from mlgsearch.train.loop.relative_adamw import RelativeAdamW

#: The polynomial whose iteration draws singular values to between 0.7 and 1.2, and how often.
_A, _B, _C = 3.4445, -4.7750, 2.0315
_ITERATIONS = 5
_EPS = 1e-7

#: The least root mean square of a weight that is kept: one of zeros would never move.
_LEAST_SIZE = 1e-3
#: Decay of the running mean of the gradients' squared lengths.
_KEEP_SQUARE = 0.99


class RelativeMuon(RelativeAdamW):
    """Weights move along their orthogonalised momentum, all else as in `RelativeAdamW`.

    A weight counts as a matrix of one row for each output. All singular values of its step are
    about equal, so rare directions move as fast as common ones. The root mean square of a step is
    ``lr`` times the weight's size, and the weight keeps the length that it has at construction: a
    normalisation behind it makes up for that, and decay has no effect.

    Such a step is as long in noise as where all gradients agree, so one rate suits one ratio of
    both. With ``by_agreement`` its length is multiplied by the length of the gradients' running
    mean as a share of their root mean square length: 1 where they agree, 0.23 in noise at a
    momentum of 0.9. Grafting (Agarwal et al. 2020, arXiv 2002.11803) takes the length of a step
    from another optimiser likewise.

    Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks", and the
    same author's airbench for the length.

    Args of the constructor, beside those of `RelativeAdamW`:
        groups: one of weights has ``matrices`` as well, where they lie in its parameter.
        momentum: decay of the running mean of gradients, Nesterov's.
        by_agreement: whether steps are shorter where gradients do not agree.
        dtype: in which steps are orthogonalised.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        lr: float,
        *,
        momentum: float,
        by_agreement: bool,
        dtype: torch.dtype,
    ) -> None:
        super().__init__(groups, lr)
        self._momentum = momentum
        self._by_agreement = by_agreement
        self._dtype = dtype
        for group in self.param_groups:
            (parameter,) = group["params"]
            if "matrices" in group:
                weights = [matrix.of(parameter.detach()) for matrix in group["matrices"]]
                least = [_LEAST_SIZE * weight.numel() ** 0.5 for weight in weights]
                lengths = _lengths(weights)
                state = self.state[parameter]
                state["lengths"] = lengths.maximum(lengths.new_tensor(least))
                state["square"] = torch.zeros_like(lengths)  # of lengths, not of each entry

    def _move(self, group: dict[str, Any]) -> None:
        if "matrices" not in group:
            super()._move(group)
            return
        (parameter,) = group["params"]
        matrices, state = group["matrices"], self.state[parameter]
        gradient: Tensor = parameter.grad
        state["step"] += 1
        state["mean"].lerp_(gradient, 1 - self._momentum)
        direction = gradient.lerp(state["mean"], self._momentum)
        shares = self._agreement(matrices, state, gradient) if self._by_agreement else None
        for number, matrix in enumerate(matrices):
            weight, size = matrix.of(parameter), matrix.of(state["size"])[0, 0]
            step = orthogonalised(matrix.of(direction).to(self._dtype)).to(weight.dtype)
            # Its root mean square is one over that of the longer side.
            length = group["lr"] * size * max(weight.shape) ** 0.5
            weight.sub_(step * (length if shares is None else length * shares[number]))
            weight.mul_(state["lengths"][number] / weight.norm().clamp_min(_EPS))

    def _agreement(self, matrices: list[Matrix], state: dict[str, Any], gradient: Tensor) -> Tensor:
        """Return how far the gradients of each matrix agree, from 0 to 1."""
        square = _lengths([matrix.of(gradient) for matrix in matrices]).square_()
        state["square"].lerp_(square, 1 - _KEEP_SQUARE)
        mean = _lengths([matrix.of(state["mean"]) for matrix in matrices])
        mean /= 1 - self._momentum ** state["step"]
        spread = (state["square"] / (1 - _KEEP_SQUARE ** state["step"])).sqrt_()
        agreement: Tensor = mean / spread.clamp_min(_EPS)
        return agreement.clamp_max_(1)


def _lengths(matrices: list[Tensor]) -> Tensor:
    return torch.stack([matrix.norm() for matrix in matrices])


def orthogonalised(matrix: Tensor) -> Tensor:
    """Return about U V^T of a matrix U S V^T, in its own dtype, by Newton-Schulz iterations."""
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if is_tall else matrix
    x = x / x.norm().clamp_min(_EPS)
    for _ in range(_ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=_B, alpha=_C), x, beta=_A)
    return x.T if is_tall else x
