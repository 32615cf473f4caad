"""AdamW whose steps are shares of each tensor's own size."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

#: Decay of the running mean of gradients, and of their squares: shorter than Adam's 0.999, whose
#: memory of the first steps is longer than a short training.
_BETAS = (0.9, 0.99)
_EPS = 1e-8


def without(group: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a group of parameters without what its optimiser keeps elsewhere."""
    return {key: value for key, value in group.items() if key != name}


class RelativeAdamW(Optimizer):
    """AdamW (Loshchilov and Hutter 2019) with one step size for each entry, fixed at construction.

    An entry moves by at most about ``lr * size``, where Adam moves all by ``lr``: so one rate
    serves factors of any magnitude. Adafactor (Shazeer and Stern 2018, arXiv 1804.04235, section 8)
    and LAMB (You et al. 2020, arXiv 1904.00962) scale their steps by a tensor's running size; here
    it is the size before training, so a tensor that shrinks is not slowed down.

    Args of the constructor:
        groups: each holds one parameter under ``params``, its ``size`` (a tensor of its shape, in
            the parameter's own units; larger moves faster), and its ``weight_decay`` (decoupled).
        lr: share of its size that an entry moves in a step.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], lr: float) -> None:
        groups = list(groups)
        super().__init__(
            [without(group, "size") for group in groups], {"lr": lr, "weight_decay": 0.0}
        )
        for group in groups:
            (parameter,), size = group["params"], group["size"]
            # In the state, so that a checkpoint carries it: it cannot be read off later weights.
            self.state[parameter] = {
                "step": 0,
                "size": size,
                "mean": torch.zeros_like(parameter),
                "square": torch.zeros_like(parameter),
            }

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Move every parameter by its gradient, in place."""
        assert closure is None
        for group in self.param_groups:
            self._move(group)

    def _move(self, group: dict[str, Any]) -> None:
        """Move the one parameter of a group."""
        keep_mean, keep_square = _BETAS
        (parameter,) = group["params"]
        state: dict[str, Any] = self.state[parameter]
        gradient: Tensor = parameter.grad
        state["step"] += 1
        state["mean"].lerp_(gradient, 1 - keep_mean)
        state["square"].mul_(keep_square).addcmul_(gradient, gradient, value=1 - keep_square)
        spread = (state["square"] / (1 - keep_square ** state["step"])).sqrt_().add_(_EPS)
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.addcdiv_(
            state["mean"] * state["size"],
            spread,
            value=-group["lr"] / (1 - keep_mean ** state["step"]),
        )
