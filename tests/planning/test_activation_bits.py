"""Bits of activations: the noise of each, and a plan that keeps a limit, against HiGHS."""

from functools import cache

import numpy as np
import pytest
import torch
from scipy.optimize import Bounds, LinearConstraint, milp
from torch import nn

from mlgsearch.errors import BudgetError
from mlgsearch.mlg.activations import Activations, trace_activations
from mlgsearch.mlg.input_quantiser import InBits, InputQuantiser
from mlgsearch.mlg.kinds import compressible_layers
from mlgsearch.planning.activation_bits import ActivationPlan
from mlgsearch.planning.input_noise import Noise, input_noise
from mlgsearch.train.networks.models import build_without_memory
from mlgsearch.train.spec import ModelSpec
from tests.planning.samples import batches, trained

CHOICES: tuple[InBits, ...] = (4, 6, 8)


@cache
def measured() -> dict[str, dict[int, float]]:
    return input_noise(trained(), batches(), CHOICES)


def test_noise_is_the_error_of_a_layers_output() -> None:
    noise = measured()
    assert set(noise) == set(compressible_layers(trained()))
    for by in noise.values():
        assert 1 > by[4] > by[6] > by[8] > 0
    inputs: list[torch.Tensor] = []
    layer = trained().get_submodule("layer2.0.conv1")
    assert isinstance(layer, nn.Conv2d)
    handle = layer.register_forward_hook(lambda module, args, output: inputs.append(args[0]))
    with torch.no_grad():
        for batch in batches():
            trained()(batch)
        handle.remove()
        error = energy = 0.0
        for x in inputs:
            step = float(x.max() - x.min().clamp(max=0)) / 15
            rounded = (x / step).round() * step  # behind a ReLU: the lowest level is zero
            error += float((layer(rounded) - layer(x)).square().sum())
            energy += float(layer(x).square().sum())
    assert noise["layer2.0.conv1"][4] == pytest.approx(error / energy, rel=1e-3)


def test_32_bits_make_no_noise_and_the_network_stays_as_it_was() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(144, 2)).train()
    noise = input_noise(network, [torch.randn(2, 1, 8, 8)], (2, 32))
    assert [by[32] for by in noise.values()] == [0, 0]
    assert all(by[2] > 0 for by in noise.values())
    assert network.training
    assert not any(isinstance(module, InputQuantiser) for module in network.modules())
    assert not any(module._forward_hooks for module in network.modules())


def some_plan(name: str, channels: int, side: int) -> ActivationPlan:
    network = build_without_memory(
        ModelSpec(name=name, width=8), classes=10, channels=channels, image_size=(side, side)
    )
    draw = np.random.default_rng(0)
    names = list(compressible_layers(network))
    scales = draw.lognormal(0, 2, len(names)).tolist()
    noise: Noise = {
        layer: {bits: scale / 4**bits for bits in CHOICES}
        for layer, scale in zip(names, scales, strict=True)
    }
    return ActivationPlan(trace_activations(network, (channels, side, side)), noise, CHOICES, names)


@pytest.mark.parametrize(
    ("name", "channels", "side"), [("chain8", 3, 32), ("mobilenet_v2", 3, 32), ("resnet8", 1, 8)]
)
def test_a_limit_is_kept_and_close_to_the_best(name: str, channels: int, side: int) -> None:
    plan = some_plan(name, channels, side)
    assert plan.smallest <= plan.largest
    for share in (0.0, 0.3, 0.6, 1.0):
        limit = round(plan.smallest + share * (plan.largest - plan.smallest))
        bits = plan.choose(limit)
        assert list(bits) == plan.names
        assert plan.activations.peak_bytes(bits) <= limit
        found = sum(by[bits[layer]] for layer, by in plan._noise.items()) / len(plan._noise)
        best = best_noise(plan.activations, plan, limit)
        assert best * (1 - 1e-6) <= found <= 1.1 * best + 1e-12
    assert set(plan.choose(plan.largest).values()) == {8}
    with pytest.raises(BudgetError, match=f"the smallest in range is {plan.smallest:,}; the lay"):
        plan.choose(plan.smallest - 1)


def test_layers_without_factors_keep_their_inputs() -> None:
    plan = some_plan("chain8", 3, 32)
    whole = ActivationPlan(plan.activations, {}, CHOICES, plan.names, ["block1.conv2"])
    bits = whole.choose(whole.smallest)
    assert bits["block1.conv2"] == 32
    assert whole.smallest >= plan.smallest


def best_noise(activations: Activations, plan: ActivationPlan, limit: int) -> float:
    """Solve the same choice by HiGHS: bits of each layer, and of each value those of its layers."""
    noise: Noise = plan._noise
    values = [v for v in activations.values if v.layers and not v.is_read_whole]
    count = len(CHOICES)
    layers = {name: i * count for i, name in enumerate(plan.names)}
    first = {id(v): (len(layers) + i) * count for i, v in enumerate(values)}
    size = (len(layers) + len(values)) * count
    cost = np.zeros(size)
    for name, at in layers.items():
        for i, bits in enumerate(CHOICES):
            cost[at + i] = noise[name][bits]
    constraints = []
    for at in range(0, size, count):
        row = np.zeros(size)
        row[at : at + count] = 1
        constraints.append(LinearConstraint(row, 1, 1))
    for value in values:
        for name in value.layers:  # the value's bits are no fewer than the layer's
            row = np.zeros(size)
            row[first[id(value)] : first[id(value)] + count] = CHOICES
            row[layers[name] : layers[name] + count] = [-bits for bits in CHOICES]
            constraints.append(LinearConstraint(row, 0, np.inf))
    for step in range(activations.steps):
        row, fixed = np.zeros(size), 0.0
        for value in activations.values:
            if not value.first <= step <= value.last:
                continue
            if value.replaced is not None and value.first == step:
                fixed += activations.values[value.replaced].size({})  # read whole, so the larger
            elif id(value) in first:
                at = first[id(value)]
                for i, bits in enumerate(CHOICES):
                    row[at + i] = np.ceil(value.numel * bits / 8)
            else:
                fixed += value.size({})
        if row.any():
            constraints.append(LinearConstraint(row / 1024, -np.inf, (limit - fixed) / 1024))
    solved = milp(cost, integrality=np.ones(size), bounds=Bounds(0, 1), constraints=constraints)
    assert solved.success, solved.message
    return float(solved.fun) / len(noise)
