"""The optimiser, and the learning rate as a pure function of the step."""

import math
import statistics
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, AdamW, Optimizer, RAdam

from mlgsearch.mlg.kinds import layer_name
from mlgsearch.mlg.network import NORMS
from mlgsearch.train.data.batches import batch_bounds
from mlgsearch.train.loop.flat import flat_values, flatten_parameters, matrices_in_flat
from mlgsearch.train.loop.relative_adamw import RelativeAdamW
from mlgsearch.train.loop.relative_muon import RelativeMuon
from mlgsearch.train.spec import OptimiserSpec

#: one_cycle: share of the steps spent warming up, and the first and last rate against the peak
#: (Smith and Topin, "Super-Convergence", 2018, with the cosine form of torch's OneCycleLR).
_WARM_UP = 0.3
_FIRST = 1 / 25
_LAST = 1e-4 / 25

#: Where steps are relative to it, the size of a normalisation's numbers and of a bias, of a
#: quantiser's (log) step, the least of a weight or factor, and a layer's least error.
_FREE_SIZE = 1.0
_STEP_SIZE = 0.3
_LEAST_SIZE = 1e-3
_LEAST_ERROR = 0.05

#: RAdam's rectification is a warm-up: at a constant rate its step sizes add up to 0.20 of Adam's
#: over the first 200 steps, to 0.75 over 4,000.
_RADAM_STEPS = 4_000


def learning_rate(spec: OptimiserSpec, step: int, total_steps: int) -> float:
    """Return the rate of step ``step`` (from 0) of ``total_steps``; no state, so resuming is exact.

    ``cosine`` and ``linear`` fall from the full rate towards zero, ``one_cycle`` rises and then
    falls, ``constant`` stays.
    """
    assert 0 <= step < total_steps, (step, total_steps)
    peak = spec.learning_rate
    if spec.schedule == "constant":
        return peak
    if spec.schedule == "linear":
        return peak * (1 - step / total_steps)
    if spec.schedule == "cosine":
        return peak * _cosine(step / total_steps)
    turn = _WARM_UP * total_steps
    if step < turn:
        return peak * (1 + (_FIRST - 1) * _cosine(step / turn))
    return peak * (_LAST + (1 - _LAST) * _cosine((step - turn) / (total_steps - turn)))


def _cosine(progress: float) -> float:
    """Fall from 1 to 0 as ``progress`` goes from 0 to 1."""
    return 0.5 * (1 + math.cos(math.pi * progress))


def build_optimiser(
    network: nn.Module, spec: OptimiserSpec, errors: Mapping[str, float] | None = None
) -> Optimizer:
    """Build the optimiser over all trainable parameters, flattened.

    The network's parameters become views of one tensor that is decayed and one that is not; see
    `flatten_parameters` for what must not be done to them afterwards. On small networks this
    halves what a step costs outside the convolutions.

    Weight decay (decoupled for RAdam and AdamW) holds for weights and factors only: not for
    normalisation layers, nor for biases and other parameters of fewer than two dimensions, such
    as learned quantisation steps.

    For ``relative_adamw``, ``relative_muon`` and ``muon`` the size of a weight or factor is its
    root mean square times how much of it is to be learned: the geometric mean of its layer's
    relative projection error and the mean of all. ``errors`` are these by layer; without them, as
    for a teacher, all is to be learned.
    """
    layer_of, decayed, free = _trainable(network)
    decays = [
        (parameters, decay)
        for parameters, decay in ((decayed, spec.weight_decay), (free, 0.0))
        if parameters
    ]
    if spec.optimiser in ("relative_adamw", "relative_muon", "muon"):
        sizes = _sizes(layer_of, decayed, free, errors or {})
        relative: list[dict[str, Any]] = []
        for parameters, decay in decays:
            size = flat_values(parameters, [sizes[parameter] for parameter in parameters])
            relative.append(
                {
                    "size": size.to(parameters[0].device),
                    "params": [flatten_parameters(parameters)],
                    "weight_decay": decay,
                }
            )
            if parameters is decayed:
                relative[-1]["matrices"] = matrices_in_flat(decayed)
        if spec.optimiser == "relative_adamw":
            return RelativeAdamW(relative, spec.learning_rate)
        return RelativeMuon(
            relative,
            spec.learning_rate,
            momentum=spec.momentum,
            by_agreement=spec.optimiser == "relative_muon",
            dtype=torch.bfloat16 if spec.precision == "bfloat16" else torch.float32,
        )
    groups = [
        {"params": [flatten_parameters(parameters)], "weight_decay": decay}
        for parameters, decay in decays
    ]
    if spec.optimiser == "radam":
        return RAdam(groups, lr=spec.learning_rate, decoupled_weight_decay=True)
    if spec.optimiser == "adamw":
        return AdamW(groups, lr=spec.learning_rate)
    return SGD(groups, lr=spec.learning_rate, momentum=spec.momentum, nesterov=spec.momentum > 0)


def _trainable(
    network: nn.Module,
) -> tuple[dict[nn.Parameter, str], list[nn.Parameter], list[nn.Parameter]]:
    """Return the trainable parameters by layer: all, those that are decayed, and the others."""
    layer_of: dict[nn.Parameter, str] = {}
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, module in network.named_modules():
        for parameter in module.parameters(recurse=False):
            if parameter in layer_of or not parameter.requires_grad:  # a tied weight comes twice
                continue
            layer_of[parameter] = _layer_of(name)
            is_free = isinstance(module, NORMS) or parameter.ndim < 2
            (free if is_free else decayed).append(parameter)
    return layer_of, decayed, free


def _sizes(
    layer_of: Mapping[nn.Parameter, str],
    decayed: Iterable[nn.Parameter],
    free: Iterable[nn.Parameter],
    errors: Mapping[str, float],
) -> dict[nn.Parameter, float]:
    """Return the size of each parameter, in which `RelativeAdamW` measures its steps."""
    found = {name: max(_LEAST_ERROR, error) for name, error in errors.items()}
    mean_error = statistics.fmean(found.values()) if found else 1.0
    sizes = {}
    for parameter in decayed:
        rms = float(parameter.detach().square().mean().sqrt())
        error = found.get(layer_of[parameter], mean_error)
        sizes[parameter] = max(_LEAST_SIZE, rms * math.sqrt(error * mean_error))
    for parameter in free:
        sizes[parameter] = math.sqrt(mean_error) * (_FREE_SIZE if parameter.ndim else _STEP_SIZE)
    return sizes


def _layer_of(path: str) -> str:
    """Return the layer that a module belongs to: itself, or the one that it parametrizes."""
    module, found, parameter = path.rpartition("parametrizations.")
    return layer_name(module.removesuffix("."), parameter) if found else path


def too_short(spec: OptimiserSpec, samples: int) -> str | None:
    """Describe too few steps for an optimiser, and what to write instead; None if enough."""
    steps = spec.epochs * len(batch_bounds(samples, spec.batch_size))
    if spec.optimiser != "radam" or steps >= _RADAM_STEPS:
        return None
    return (
        f"radam warms up over thousands of steps and this training has {steps}, so it will hardly "
        f"learn: leave it out (relative_muon is the default), or train {_RADAM_STEPS} steps"
    )


def set_learning_rate(optimiser: Optimizer, rate: float) -> None:
    """Set one rate for all groups."""
    for group in optimiser.param_groups:
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate
