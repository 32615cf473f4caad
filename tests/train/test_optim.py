from typing import Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mlgsearch.train.optim import build_optimiser, learning_rate, set_learning_rate
from mlgsearch.train.spec import OptimiserSpec

Schedule = Literal["cosine", "one_cycle", "constant"]


def spec(schedule: Schedule) -> OptimiserSpec:
    return OptimiserSpec(schedule=schedule, learning_rate=0.5)


def test_cosine_is_torchs() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([parameter], lr=0.5)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 20)
    for step in range(20):
        expected = optimiser.param_groups[0]["lr"]
        assert learning_rate(spec("cosine"), step, 20) == pytest.approx(expected)
        optimiser.step()
        scheduler.step()


def test_one_cycle_warms_up_then_falls() -> None:
    rates = [learning_rate(spec("one_cycle"), step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.5 / 25)
    assert rates[30] == pytest.approx(0.5)
    assert rates[:31] == sorted(rates[:31])
    assert rates[30:] == sorted(rates[30:], reverse=True)
    assert rates[-1] < 0.5 / 500


@given(
    st.sampled_from(["cosine", "one_cycle", "constant"]), st.integers(1, 500), st.floats(0, 0.999)
)
def test_a_rate_is_positive_and_never_above_the_peak(
    schedule: Schedule, total: int, where: float
) -> None:
    rate = learning_rate(spec(schedule), int(where * total), total)
    assert 0 < rate <= 0.5 * (1 + 1e-12)


@pytest.mark.parametrize("name", ["radam", "adamw", "sgd"])
def test_decay_spares_norms_biases_and_single_numbers(
    name: Literal["radam", "adamw", "sgd"],
) -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(2, 2))
    network.register_parameter("step_size", nn.Parameter(torch.tensor(0.1)))
    optimiser = build_optimiser(network, OptimiserSpec(optimiser=name, weight_decay=0.1))
    decayed, free = optimiser.param_groups
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.1, 0.0)

    def lies_in(parameter: nn.Parameter, group: dict[str, list[nn.Parameter]]) -> bool:
        (flat,) = group["params"]
        return bool(parameter.untyped_storage().data_ptr() == flat.untyped_storage().data_ptr())

    assert all(lies_in(p, decayed if p.ndim >= 2 else free) for p in network.parameters())
    assert sum(p.ndim >= 2 for p in network.parameters()) == 2


def test_tied_and_frozen_parameters() -> None:
    first, tied, frozen = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False), nn.Linear(2, 2)
    tied.weight = first.weight
    frozen.requires_grad_(False)
    network = nn.Sequential(first, tied, frozen)
    spec = OptimiserSpec(optimiser="sgd", weight_decay=0.0, momentum=0.0)
    optimiser = build_optimiser(network, spec)
    before = [p.detach().clone() for p in (first.weight, frozen.weight)]
    network(torch.ones(1, 2)).sum().backward()
    optimiser.step()
    assert tied.weight is first.weight
    assert not torch.equal(first.weight, before[0])
    assert torch.equal(frozen.weight, before[1])
    (group,) = optimiser.param_groups
    assert group["params"][0].numel() == 16


@pytest.mark.parametrize("name", ["radam", "adamw", "sgd"])
def test_flattened_steps_are_torchs_own(name: Literal["radam", "adamw", "sgd"]) -> None:
    def build() -> nn.Module:
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(3, 2))
        return network.to(memory_format=torch.channels_last)

    spec = OptimiserSpec(optimiser=name, learning_rate=0.01, weight_decay=0.1)
    ours, reference = build(), build()
    flat = build_optimiser(ours, spec)
    groups = [
        {"params": [p for p in reference.parameters() if p.ndim >= 2], "weight_decay": 0.1},
        {"params": [p for p in reference.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    plain: torch.optim.Optimizer
    match name:
        case "radam":
            plain = torch.optim.RAdam(groups, lr=0.01, decoupled_weight_decay=True)
        case "adamw":
            plain = torch.optim.AdamW(groups, lr=0.01)
        case "sgd":
            plain = torch.optim.SGD(groups, lr=0.01, momentum=0.9, nesterov=True)
    for step in range(8):
        inputs = torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(step))
        for network, optimiser in ((ours, flat), (reference, plain)):
            optimiser.zero_grad(set_to_none=False)
            network(inputs).square().sum().backward()
            optimiser.step()
    for a, b in zip(ours.parameters(), reference.parameters(), strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-6)


def test_the_rate_is_set_for_all_groups() -> None:
    optimiser = build_optimiser(nn.Linear(2, 2), OptimiserSpec())
    set_learning_rate(optimiser, 0.125)
    assert [group["lr"] for group in optimiser.param_groups] == [0.125, 0.125]
