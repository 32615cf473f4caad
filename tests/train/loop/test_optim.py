from copy import deepcopy
from typing import Literal, get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mlgsearch.mlg.compress import compress
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.train.loop.optim import build_optimiser, learning_rate, set_learning_rate, too_short
from mlgsearch.train.loop.relative_adamw import RelativeAdamW
from mlgsearch.train.spec import OptimiserName, OptimiserSpec, TeacherSpec

Schedule = Literal["cosine", "one_cycle", "linear", "constant"]
Torchs = Literal["radam", "adamw", "sgd"]


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
    st.sampled_from(["cosine", "one_cycle", "linear", "constant"]),
    st.integers(1, 500),
    st.floats(0, 0.999),
)
def test_a_rate_is_positive_and_never_above_the_peak(
    schedule: Schedule, total: int, where: float
) -> None:
    rate = learning_rate(spec(schedule), int(where * total), total)
    assert 0 < rate <= 0.5 * (1 + 1e-12)


@pytest.mark.parametrize("name", get_args(OptimiserName))
def test_decay_spares_norms_biases_and_single_numbers(
    name: OptimiserName,
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


@pytest.mark.parametrize("name", get_args(Torchs))
def test_flattened_steps_are_torchs_own(name: Torchs) -> None:
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


def test_relative_steps_grow_with_what_projection_lost() -> None:
    network = nn.Sequential(nn.Linear(4, 3, bias=False), nn.BatchNorm1d(3), nn.Linear(3, 2))
    for parameter in network.parameters():
        parameter.data.fill_(0.5)
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    spec = OptimiserSpec(optimiser="relative_adamw", weight_decay=0.0, learning_rate=0.1)
    optimiser = build_optimiser(network, spec, {"0": 0.64, "2": 0.16})
    for parameter in network.parameters():
        parameter.grad.fill_(1.0)  # type: ignore[union-attr]
    optimiser.step()
    moved = {
        name: float((before[name] - p.detach()).max()) for name, p in network.named_parameters()
    }
    mean = 0.4
    assert moved["0.weight"] == pytest.approx(0.1 * 0.5 * (0.64 * mean) ** 0.5)
    assert moved["2.weight"] == pytest.approx(0.1 * 0.5 * (0.16 * mean) ** 0.5)
    for free in ("1.weight", "2.bias"):
        assert moved[free] == pytest.approx(0.1 * mean**0.5)


def test_errors_are_found_by_a_compressed_layers_name() -> None:
    network = nn.Sequential(nn.Conv2d(4, 6, 3), nn.Conv2d(6, 8, 3))
    settings = {"0": LayerSetting(1, 3, 4, 4, 4), "1": LayerSetting(1, 3, 4, 4, 4)}
    errors = compress(network, settings, method="lsq_symmetric")
    plain = build_optimiser(deepcopy(network), OptimiserSpec())
    apart = build_optimiser(deepcopy(network), OptimiserSpec(), {**errors, "1": 4 * errors["1"]})
    sizes = [o.state[o.param_groups[0]["params"][0]]["size"] for o in (plain, apart)]
    ratios = (sizes[1] / sizes[0]).round(decimals=4).unique()
    assert len(ratios) == 2, "one for the factors of each layer"
    assert float(ratios[1] / ratios[0]) == pytest.approx(
        (4 * errors["1"] / errors["0"]) ** 0.5, rel=1e-3
    )


def test_a_training_that_is_too_short_for_radam() -> None:
    radam = OptimiserSpec(optimiser="radam", epochs=10, batch_size=64)
    said = too_short(radam, 64 * 399)
    assert said is not None
    assert "this training has 3990" in said
    assert too_short(radam, 64 * 400) is None
    assert too_short(OptimiserSpec(epochs=1), 64) is None


def test_schedule_rate_and_average_follow_the_optimiser() -> None:
    assert OptimiserSpec() == OptimiserSpec(optimiser="relative_muon")
    assert TeacherSpec().training == OptimiserSpec(optimiser="relative_adamw", epochs=20)
    assert TeacherSpec.model_validate({"training": {"epochs": 20}}) == TeacherSpec()
    papers = OptimiserSpec(optimiser="radam")
    assert (papers.schedule, papers.learning_rate, papers.average) == ("cosine", 2e-3, 0.0)
    assert OptimiserSpec(optimiser="adamw", learning_rate=0.5).learning_rate == 0.5
    assert OptimiserSpec.model_validate({"optimiser": "sgd"}).average == 0.0
    students = OptimiserSpec(optimiser="muon")
    assert (students.learning_rate, students.average) == (0.06, 0.2)
    teachers = TeacherSpec.model_validate({"training": {"optimiser": "muon", "epochs": 3}}).training
    assert (teachers.learning_rate, teachers.average, teachers.epochs) == (0.02, 0.0, 3)
    own = TeacherSpec.model_validate({"training": {"optimiser": "muon", "learning_rate": 0.1}})
    assert own.training.learning_rate == 0.1


def test_relative_steps_are_adamws_where_all_sizes_are_one() -> None:
    torch.manual_seed(0)
    ours, reference = nn.Parameter(torch.randn(40)), nn.Parameter(torch.zeros(40))
    reference.data.copy_(ours.data)
    group = {"params": [ours], "size": torch.ones(40), "weight_decay": 0.1}
    optimisers = (
        RelativeAdamW([group], 0.01),
        torch.optim.AdamW([reference], lr=0.01, betas=(0.9, 0.99), weight_decay=0.1),
    )
    for step in range(8):
        gradient = torch.randn(40, generator=torch.Generator().manual_seed(step))
        for parameter, optimiser in zip((ours, reference), optimisers, strict=True):
            parameter.grad = gradient.clone()
            optimiser.step()
    torch.testing.assert_close(ours, reference)


@given(st.floats(1e-2, 1e3))
def test_relative_steps_grow_with_a_weights_size(scale: float) -> None:
    def moved(weight: torch.Tensor) -> torch.Tensor:
        """Return how far one step goes; gradients fall as weights grow, as behind a batch-norm."""
        layer = nn.Linear(4, 3, bias=False)
        layer.weight.data.copy_(weight)
        spec = OptimiserSpec(optimiser="relative_adamw", weight_decay=0.0, learning_rate=0.1)
        optimiser = build_optimiser(layer, spec)
        layer.weight.grad.copy_(torch.arange(1.0, 13).reshape(3, 4))  # type: ignore[union-attr]
        optimiser.step()
        return layer.weight.detach() - weight

    weight = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
    size = float(weight.square().mean().sqrt())
    torch.testing.assert_close(moved(weight), torch.full((3, 4), -0.1 * size))
    torch.testing.assert_close(moved(scale * weight), scale * moved(weight), rtol=1e-3, atol=0)


def test_linear_falls_to_zero_in_equal_steps() -> None:
    rates = [learning_rate(spec("linear"), step, 5) for step in range(5)]
    assert rates == pytest.approx([0.5, 0.4, 0.3, 0.2, 0.1])
