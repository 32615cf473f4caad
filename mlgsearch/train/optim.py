"""The optimiser, and the learning rate as a pure function of the step."""

import math

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.optim import SGD, AdamW, Optimizer, RAdam

from mlgsearch.train.flat import flatten_parameters
from mlgsearch.train.spec import OptimiserSpec

#: one_cycle: share of the steps spent warming up, and the first and last rate against the peak
#: (Smith and Topin, "Super-Convergence", 2018, with the cosine form of torch's OneCycleLR).
_WARM_UP = 0.3
_FIRST = 1 / 25
_LAST = 1e-4 / 25


def learning_rate(spec: OptimiserSpec, step: int, total_steps: int) -> float:
    """Give the rate of step ``step`` (from 0) of ``total_steps``; no state, so resuming is exact.

    ``cosine`` falls from the full rate towards zero, ``one_cycle`` rises and then falls,
    ``constant`` stays.
    """
    assert 0 <= step < total_steps, (step, total_steps)
    peak = spec.learning_rate
    if spec.schedule == "constant":
        return peak
    if spec.schedule == "cosine":
        return peak * _cosine(step / total_steps)
    turn = _WARM_UP * total_steps
    if step < turn:
        return peak * (1 + (_FIRST - 1) * _cosine(step / turn))
    return peak * (_LAST + (1 - _LAST) * _cosine((step - turn) / (total_steps - turn)))


def _cosine(progress: float) -> float:
    """Fall from 1 to 0 as ``progress`` goes from 0 to 1."""
    return 0.5 * (1 + math.cos(math.pi * progress))


def build_optimiser(network: nn.Module, spec: OptimiserSpec) -> Optimizer:
    """Build the optimiser over all trainable parameters, flattened.

    The network's parameters become views of one tensor that is decayed and one that is not; see
    `flatten_parameters` for what must not be done to them afterwards. On small networks this
    halves what a step costs outside the convolutions.

    Weight decay (decoupled for RAdam and AdamW) holds for weights and factors only: not for
    normalisation layers, nor for biases and other parameters of fewer than two dimensions, such
    as learned quantisation steps.
    """
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    seen: set[nn.Parameter] = set()
    for module in network.modules():
        for parameter in module.parameters(recurse=False):
            if parameter in seen:  # a tied weight
                continue
            seen.add(parameter)
            is_free = isinstance(module, _NormBase | nn.LayerNorm | nn.GroupNorm)
            if parameter.requires_grad:
                (free if is_free or parameter.ndim < 2 else decayed).append(parameter)
    groups = [
        {"params": [flatten_parameters(parameters)], "weight_decay": decay}
        for parameters, decay in ((decayed, spec.weight_decay), (free, 0.0))
        if parameters
    ]
    match spec.optimiser:
        case "radam":
            return RAdam(groups, lr=spec.learning_rate, decoupled_weight_decay=True)
        case "adamw":
            return AdamW(groups, lr=spec.learning_rate)
        case "sgd":
            return SGD(
                groups,
                lr=spec.learning_rate,
                momentum=spec.momentum,
                nesterov=spec.momentum > 0,
            )


def set_learning_rate(optimiser: Optimizer, rate: float) -> None:
    """Set one rate for all groups."""
    for group in optimiser.param_groups:
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate
