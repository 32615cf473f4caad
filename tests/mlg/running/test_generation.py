from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mlgsearch.mlg.compress import compress, densify
from mlgsearch.mlg.factoring.parametrization import latents_of, mlg_of
from mlgsearch.mlg.input_quantiser import InputQuantiser
from mlgsearch.mlg.running.execution import Execution
from mlgsearch.mlg.running.factored_layers import MlgConv2d, MlgLinear
from mlgsearch.mlg.running.generation import generated_once, keep_generated
from mlgsearch.mlg.setting import LayerSetting
from tests.mlg.students import SETTINGS, X, small_student


@pytest.fixture
def student() -> nn.Sequential:
    return small_student().eval()


@pytest.fixture
def quantisations(student: nn.Sequential, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note each layer whose factors are quantised."""
    seen: list[str] = []
    for name in SETTINGS:
        mlg = mlg_of(student.get_submodule(name))
        original = mlg.quantised

        def watched(*latents: Tensor, name: str = name, original: Any = original) -> Any:
            seen.append(name)
            return original(*latents)

        monkeypatch.setattr(mlg, "quantised", watched)
    return seen


@pytest.mark.parametrize("execution", ["auto", "dense", "level2", "three_stage"])
def test_weights_are_made_once_and_give_the_same(
    student: nn.Sequential, quantisations: list[str], execution: Execution
) -> None:
    for name in SETTINGS:
        student.get_submodule(name).execution = execution  # type: ignore[assignment]
    expected = student(X)
    quantisations.clear()
    with torch.inference_mode(), generated_once(student):
        for _ in range(3):
            assert torch.equal(student(X), expected)
    assert sorted(quantisations) == ["0", "2", "5"]
    student(X)
    assert len(quantisations) == 6


def test_a_later_change_is_seen_after_the_block(student: nn.Sequential) -> None:
    with torch.no_grad(), generated_once(student):
        before = student(X)
    with torch.no_grad():
        latents_of(student[0])[0].mul_(-1)
    assert not torch.equal(student(X), before)
    student(X).sum().backward()
    assert all(p.grad is not None for p in latents_of(student[0]))


def test_a_kept_weight_follows_a_move_and_a_load(student: nn.Sequential) -> None:
    other = deepcopy(student)
    with torch.no_grad():
        latents_of(other[0])[0].mul_(-1)
    keep_generated(student)
    with torch.inference_mode():
        student(X)
    assert student.double()(X.double()).dtype == torch.float64
    student.float()
    student.load_state_dict(other.state_dict())
    assert torch.equal(student(X), other(X))


def test_gradients_reach_the_input_through_kept_weights(student: nn.Sequential) -> None:
    keep_generated(student)
    with torch.inference_mode():
        student(X)
    x = X.clone().requires_grad_()
    student(x).sum().backward()
    y = X.clone().requires_grad_()
    densify(student)(y).sum().backward()
    assert x.grad is not None
    assert y.grad is not None
    assert torch.allclose(x.grad, y.grad, atol=1e-5)


def test_an_exported_program_keeps_nothing(student: nn.Sequential) -> None:
    keep_generated(student)
    program = torch.export.export(student, (X,))
    assert torch.allclose(program.module()(X), student(X), atol=1e-5)
    assert torch.equal(deepcopy(student)(X), student(X))


def test_one_kept_network_serves_both_layouts(student: nn.Sequential) -> None:
    expected = {
        layout: student(X.contiguous(memory_format=layout))
        for layout in (torch.contiguous_format, torch.channels_last)
    }
    keep_generated(student)
    for _ in range(2):
        for layout, logits in expected.items():
            assert torch.equal(student(X.contiguous(memory_format=layout)), logits)


def test_a_forced_form_is_seen_by_a_kept_layer(student: nn.Sequential) -> None:
    keep_generated(student)
    layer = student[0]
    assert isinstance(layer, MlgConv2d)
    student(X)
    layer.execution = "level2"
    student(X)
    assert layer.kept is not None
    assert "level2" in layer.kept.operands


@pytest.mark.parametrize("at", ["0", "5"])
def test_what_is_ready_follows_every_change_of_its_layer(student: nn.Sequential, at: str) -> None:
    keep_generated(student)
    layer = student.get_submodule(at)
    assert isinstance(layer, MlgConv2d | MlgLinear)
    assert layer.kept is not None
    layer.execution = "dense"
    expected = student(X)
    assert layer.kept.ready is not None
    assert torch.equal(student(X), expected)
    copy = deepcopy(student)
    assert layer.bias is not None
    layer.bias = nn.Parameter(layer.bias + 1)
    assert not torch.equal(student(X), expected)
    assert torch.equal(copy(X), expected)
    assert layer.kept.ready is not None
    layer.train()
    assert layer.kept.ready is None
    copy.get_submodule(at).input_quantiser = InputQuantiser(2)
    assert not torch.equal(copy(X), expected)


def test_nothing_is_ready_for_other_precisions(student: nn.Sequential) -> None:
    keep_generated(student)
    layer = student[0]
    assert isinstance(layer, MlgConv2d)
    assert layer.kept is not None
    layer.execution = "dense"
    with torch.autocast("cpu", torch.bfloat16):
        student(X)
    assert layer.kept.ready is None
    student.bfloat16()(X.bfloat16())
    assert layer.kept.ready is None


@pytest.mark.parametrize("setting", [LayerSetting.plain(8), LayerSetting(0, 2, 8, 0, 8)])
@pytest.mark.parametrize("is_kept", [True, False])
def test_images_of_one_channel_are_convolved_in_channels_last(
    setting: LayerSetting, is_kept: bool
) -> None:
    network = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3))
    compress(network, {"0": setting, "2": LayerSetting.plain(8)})
    network.eval()
    images = torch.randn(2, 1, 8, 8)
    expected = densify(network).to(memory_format=torch.channels_last)(images)
    if is_kept:
        keep_generated(network)
    logits = network(images)
    assert logits.is_contiguous(memory_format=torch.channels_last)
    assert not logits.is_contiguous()
    assert torch.allclose(logits, expected, atol=1e-6)
