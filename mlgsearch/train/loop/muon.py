"""Steps along orthogonalised gradients, each a share of its weight's size."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from mlgsearch.train.loop.relative_adamw import RelativeAdamW

#: Coefficients of the quintic iteration and its number of steps (Jordan et al. 2024, "Muon").
_QUINTIC = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 4
_EPS = 1e-7


class Muon(RelativeAdamW):
    """Muon for weights that normalisation follows: a step turns a weight, its size stays.

    The momentum of a weight, seen as a matrix (outputs, inputs), is replaced by one whose singular
    values are all about one (Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural
    networks"). The step is ``lr`` times the weight's Frobenius norm long, and the weight is brought
    back to the norm it had at construction: what follows is scale-invariant, so only the direction
    matters, and steps do not fade as a weight would otherwise grow. All other parameters move as
    in `RelativeAdamW`, at the same rate.

    Args of the constructor:
        weights: of two or more dimensions, the outputs' first.
        others: the groups of `RelativeAdamW`.
        lr: length of a step as a share of the weight's norm.
        momentum: decay of the running sum of a weight's gradients (Nesterov's form).
    """

    def __init__(
        self,
        weights: Iterable[Tensor],
        others: Iterable[dict[str, Any]],
        lr: float,
        momentum: float,
    ) -> None:
        super().__init__(others, lr)
        self.add_param_group({"params": list(weights), "momentum": momentum})
        for weight in self.param_groups[-1]["params"]:
            self.state[weight] = {
                "sum": torch.zeros_like(weight),
                "norm": weight.detach().norm(),
            }

    def _move(self, group: dict[str, Any]) -> None:
        if "momentum" not in group:
            super()._move(group)
            return
        for weight in group["params"]:
            state = self.state[weight]
            state["sum"].mul_(group["momentum"]).add_(weight.grad)
            ahead = weight.grad.add(state["sum"], alpha=group["momentum"])
            direction = orthogonalise(ahead.flatten(1)).reshape(weight.shape)
            length = group["lr"] * state["norm"] / (direction.norm() + _EPS)
            weight.sub_(direction.mul_(length))
            weight.mul_(state["norm"] / (weight.norm() + _EPS))


def orthogonalise(matrix: Tensor) -> Tensor:
    """Return a matrix with the singular vectors of ``matrix`` and values between about 0.5 and 1.5.

    A Newton-Schulz iteration of odd polynomials.

    Args:
        matrix: (M, N) of any scale.
    """
    first, third, fifth = _QUINTIC
    is_tall = matrix.shape[0] > matrix.shape[1]
    x: Tensor = matrix.T if is_tall else matrix
    x = x / (x.norm() + _EPS)
    for _ in range(_ITERATIONS):
        gram = x @ x.T
        x = first * x + (third * gram + fifth * gram @ gram) @ x
    return x.T if is_tall else x
