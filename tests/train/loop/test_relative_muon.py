from collections.abc import Iterator
from copy import deepcopy
from typing import Literal

import pytest
import torch
from torch import nn

from mlgsearch.train.loop.optim import build_optimiser
from mlgsearch.train.loop.relative_muon import orthogonalised
from mlgsearch.train.spec import OptimiserName, OptimiserSpec

SPEC = OptimiserSpec(optimiser="muon", learning_rate=0.1, precision="bfloat16")


def exact(name: OptimiserName) -> dict[str, str]:
    """Return what makes `SPEC` one of that optimiser in float32."""
    return {"optimiser": name, "precision": "float32"}


@pytest.mark.parametrize("shape", [(6, 40), (1, 9), (8, 8)])
def test_all_singular_values_become_about_one(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    (found,) = orthogonalised(matrix[None])
    values = torch.linalg.svdvals(found)
    assert 0.6 < float(values.min()) <= float(values.max()) < 1.3
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    assert float((found * (u @ v)).sum() / (found.norm() * (u @ v).norm())) > 0.95


def test_a_step_is_torchs_and_the_weight_keeps_its_length() -> None:
    torch.manual_seed(0)
    layer, reference = nn.Linear(5, 12, bias=False), nn.Linear(5, 12, bias=False)
    reference.load_state_dict(layer.state_dict())
    before = layer.weight.detach().clone()
    size = float(before.square().mean().sqrt())
    ours = build_optimiser(layer, SPEC)
    # torch's rate is of steps whose length grows with the shape, ours a share of the size.
    rate = 0.1 * size * 12**0.5 / (12 / 5) ** 0.5
    torchs = torch.optim.Muon(reference.parameters(), lr=rate, momentum=0.9, weight_decay=0.0)
    x = torch.randn(8, 5)
    for network, optimiser in ((layer, ours), (reference, torchs)):
        network(x).square().sum().backward()
        optimiser.step()
    expected = reference.weight * (before.norm() / reference.weight.norm())
    assert torch.allclose(layer.weight, expected, atol=1e-5)
    moved = (reference.weight.detach() - before).square().mean().sqrt()
    assert float(moved) == pytest.approx(0.1 * size, rel=0.3)


def test_by_agreement_a_step_is_as_long_as_the_gradients_mean_lasts() -> None:
    """Where all gradients are alike a step is a whole one, in noise about a quarter."""
    torch.manual_seed(0)
    always = torch.randn(12, 30)
    spec = SPEC.model_copy(update={"optimiser": "relative_muon", "learning_rate": 1e-3})

    def last_step(gradients: Iterator[torch.Tensor]) -> float:
        layer = nn.Linear(30, 12, bias=False)
        size = layer.weight.detach().square().mean().sqrt()
        optimiser = build_optimiser(layer, spec)
        for gradient in gradients:
            before = layer.weight.detach().clone()
            assert layer.weight.grad is not None
            layer.weight.grad.copy_(gradient)
            optimiser.step()
        return float((layer.weight.detach() - before).square().mean().sqrt() / size) / 1e-3

    whole = last_step(always for _ in range(40))
    noisy = last_step(torch.randn(12, 30) for _ in range(400))
    assert whole == pytest.approx(1, rel=0.2)
    assert noisy / whole == pytest.approx(((1 - 0.9) / (1 + 0.9)) ** 0.5, rel=0.2)


@pytest.mark.parametrize("name", ["relative_muon", "muon"])
def test_the_memory_layout_plays_no_part(name: OptimiserName) -> None:
    def trained(layout: torch.memory_format) -> torch.Tensor:
        torch.manual_seed(0)
        layer = nn.Conv2d(3, 8, 3).to(memory_format=layout)
        optimiser = build_optimiser(layer, SPEC.model_copy(update=exact(name)))
        for _ in range(3):
            optimiser.zero_grad(set_to_none=False)
            layer(torch.ones(1, 3, 5, 5).cumsum(3)).square().sum().backward()
            optimiser.step()
        return layer.weight.detach()

    contiguous, channels_last = map(trained, (torch.contiguous_format, torch.channels_last))
    assert torch.allclose(contiguous, channels_last, atol=1e-5)


def test_without_a_gradient_nothing_moves() -> None:
    layers = nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 5))
    before = deepcopy(layers.state_dict())
    optimiser = build_optimiser(layers, SPEC.model_copy(update=exact("relative_muon")))
    for _ in range(2):
        optimiser.step()
    for name, value in layers.state_dict().items():
        assert torch.allclose(value, before[name], atol=1e-6)


@pytest.mark.parametrize("name", ["relative_muon", "muon"])
def test_a_transposed_weight_moves_as_any_other(name: OptimiserName) -> None:
    def trained(*, is_transposed: bool) -> torch.Tensor:
        torch.manual_seed(0)
        layer = nn.Linear(6, 4, bias=False)
        if is_transposed:
            layer.weight = nn.Parameter(layer.weight.detach().T.contiguous().T)
        optimiser = build_optimiser(layer, SPEC.model_copy(update=exact(name)))
        layer(torch.randn(9, 6)).square().sum().backward()
        optimiser.step()
        return layer.weight.detach()

    assert torch.allclose(trained(is_transposed=True), trained(is_transposed=False), atol=1e-6)


def test_a_weight_of_zeros_moves_and_other_numbers_move_as_in_adamw() -> None:
    def moved(optimiser: Literal["muon", "relative_adamw"]) -> tuple[nn.Linear, nn.BatchNorm1d]:
        torch.manual_seed(0)
        linear, norm = nn.Linear(4, 3), nn.BatchNorm1d(3)
        nn.init.zeros_(linear.weight)
        spec = SPEC.model_copy(update={"optimiser": optimiser})
        steps = build_optimiser(nn.Sequential(linear, norm), spec)
        inputs = torch.randn(6, 4)
        (linear(inputs) + norm(torch.randn(6, 3))).square().sum().backward()
        steps.step()
        return linear, norm

    (linear, norm), (other, others_norm) = moved("muon"), moved("relative_adamw")
    assert float(linear.weight.detach().norm()) == pytest.approx(1e-3 * 12**0.5, rel=1e-3)
    assert torch.equal(linear.bias, other.bias)
    assert torch.equal(norm.bias, others_norm.bias)
