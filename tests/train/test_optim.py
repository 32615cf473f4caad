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
    assert [p.ndim for p in decayed["params"]] == [4, 2]
    assert sorted(p.ndim for p in free["params"]) == [0, 1, 1, 1, 1]


def test_the_rate_is_set_for_all_groups() -> None:
    optimiser = build_optimiser(nn.Linear(2, 2), OptimiserSpec())
    set_learning_rate(optimiser, 0.125)
    assert [group["lr"] for group in optimiser.param_groups] == [0.125, 0.125]
