"""Muon whose steps are shares of each tensor's own size."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from mlgsearch.train.loop.relative_adamw import RelativeAdamW, without
from mlgsearch.train.loop.stacks import Stack, Stacks

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
    mean as a share of their root mean square length: 1 where they stay alike, 0.23 in noise at a
    momentum of 0.9, less where they fall off. Grafting (Agarwal et al. 2020, arXiv 2002.11803)
    takes the length of a step from another optimiser likewise.

    Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks", and the
    same author's airbench for the length.

    Args of the constructor, beside those of `RelativeAdamW`:
        groups: that of weights has ``matrices`` as well, where they lie in its parameter.
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
        groups = list(groups)
        super().__init__([without(group, "matrices") for group in groups], lr)
        self._momentum = momentum
        self._by_agreement = by_agreement
        self._dtype = dtype
        for group in groups:
            (parameter,) = group["params"]
            if "matrices" in group:
                self._stacks = Stacks(group["matrices"], parameter.detach())
                state = self.state[parameter]
                state["lengths"] = torch.cat(
                    [
                        _lengths(stack.of(parameter.detach())).maximum(_least_length(stack))
                        for stack in self._stacks.stacks
                    ]
                )
                state["square"] = torch.zeros_like(state["lengths"])  # not of each entry

    def _move(self, group: dict[str, Any]) -> None:
        (parameter,) = group["params"]
        state: dict[str, Any] = self.state[parameter]
        if "lengths" not in state:
            super()._move(group)
            return
        state["step"] += 1
        state["mean"].lerp_(parameter.grad, 1 - self._momentum)
        split = self._stacks.split
        moved = []
        for stack, length, square in zip(
            self._stacks.stacks, split(state["lengths"]), split(state["square"]), strict=True
        ):
            gradient, mean = stack.of(parameter.grad), stack.of(state["mean"])
            direction = gradient.lerp(mean, self._momentum).to(self._dtype)
            # Its root mean square is one over that of the longer side.
            step = orthogonalised(direction).to(gradient.dtype)
            size = state["size"].take(stack.places[:, 0, 0])
            share = group["lr"] * size * stack.sides.sqrt()
            if self._by_agreement:
                square.lerp_(_lengths(gradient).square_(), 1 - _KEEP_SQUARE)
                spread = (square / (1 - _KEEP_SQUARE ** state["step"])).sqrt_().clamp_min_(_EPS)
                lasting = _lengths(mean) / (1 - self._momentum ** state["step"])
                share *= (lasting / spread).clamp_max_(1)
            weight = stack.of(parameter).sub_(step.mul_(share[:, None, None]))
            moved.append(weight.mul_((length / _lengths(weight).clamp_min_(_EPS))[:, None, None]))
        parameter.copy_(self._stacks.flat(moved))


def _lengths(matrices: Tensor) -> Tensor:
    """Return the root of the sum of squares of each matrix of a stack."""
    lengths: Tensor = torch.linalg.vector_norm(matrices, dim=(1, 2))
    return lengths


def _least_length(stack: Stack) -> Tensor:
    least: Tensor = _LEAST_SIZE * stack.is_entry.sum((1, 2)).sqrt()
    return least


def orthogonalised(matrices: Tensor) -> Tensor:
    """Return about U V^T of each matrix U S V^T, in their dtype, by Newton-Schulz iterations.

    ``matrices`` (matrices, rows, columns) have no more rows than columns; zeros around one stay.
    """
    x = matrices / _lengths(matrices).clamp_min(_EPS)[:, None, None]
    for _ in range(_ITERATIONS):
        gram = torch.bmm(x, x.mT)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=_B, alpha=_C), x, beta=_A)
    return x
