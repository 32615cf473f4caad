"""The mean of the weights over a training's last steps, which becomes the trained network."""

import torch
from torch.optim import Optimizer

from mlgsearch.train.spec import OptimiserSpec


def first_averaged_step(spec: OptimiserSpec, total_steps: int) -> int:
    """Return the first step (from 0) after which weights count; ``total_steps`` where none do."""
    return total_steps - int(spec.average * total_steps)


@torch.no_grad()
def add_to_average(optimiser: Optimizer) -> None:
    """Count the present weights in.

    The mean is kept in the optimiser's state, so checkpoints carry it.
    """
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            state = optimiser.state[parameter]
            if "average" not in state:
                state["averaged"], state["average"] = 0, parameter.detach().clone()
            state["averaged"] += 1
            state["average"].lerp_(parameter.detach(), 1 / state["averaged"])


@torch.no_grad()
def adopt_average(optimiser: Optimizer) -> bool:
    """Make the mean the weights, in place; return whether there was one.

    Statistics of batch-norm are those of other weights afterwards: re-estimate them.

    Source: Izmailov et al. 2018, "Averaging Weights Leads to Wider Optima and Better
    Generalization" (SWA, arXiv 1803.05407).
    """
    found = False
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            state = optimiser.state[parameter]
            state.pop("averaged", None)
            average = state.pop("average", None)
            if average is not None:
                parameter.copy_(average)
                found = True
    return found
