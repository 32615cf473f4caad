from copy import deepcopy
from typing import Any, get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from mlgsearch.errors import SettingError
from mlgsearch.mlg.compress import compress, densify
from mlgsearch.mlg.input_quantiser import InBits, InputQuantiser
from mlgsearch.mlg.running.execution import Execution
from mlgsearch.mlg.running.generation import generated_once
from mlgsearch.mlg.setting import LayerSetting
from tests.mlg.students import X, small_student


def a_quantiser(*seen: Tensor, bits: InBits = 4) -> InputQuantiser:
    quantiser = InputQuantiser(bits)
    for batch in seen:
        quantiser(batch)
    return quantiser.eval()


@given(
    low=st.integers(-(10**6), 10**6).map(lambda n: n / 1000),
    high=st.integers(-(10**6), 10**6).map(lambda n: n / 1000),
    bits=st.sampled_from([bits for bits in get_args(InBits) if bits < 32]),
)
def test_zero_stays_and_the_range_is_met_within_half_a_step(
    low: float, high: float, bits: InBits
) -> None:
    x = torch.linspace(min(low, high), max(low, high), 300)
    quantiser = a_quantiser(x, bits=bits)
    value = quantiser(x)
    assert quantiser(torch.zeros(3)).tolist() == [0, 0, 0]
    assert len(set(value.tolist())) <= 2**bits
    # The zero point is rounded: an edge may be half a step off, and a value half a step from it.
    assert (value - x).abs().max() <= 1.001 * quantiser.scale
    assert 0 <= quantiser.zero_point <= 2**bits - 1
    assert torch.equal(quantiser(value), value)


def test_by_hand() -> None:
    quantiser = a_quantiser(torch.tensor([-1.0, 2.0]), bits=2)
    assert quantiser.scale.item() == quantiser.zero_point.item() == 1
    x = torch.tensor([-9.0, -0.6, -0.4, 0.2, 0.7, 1.6, 9.0])
    assert quantiser(x).tolist() == [-1, -1, 0, 0, 1, 2, 2]


def test_the_gradient_is_one_inside_and_zero_outside() -> None:
    quantiser = a_quantiser(torch.tensor([-1.0, 2.0]), bits=2)
    x = torch.tensor([-9.0, -1.2, 0.3, 2.4, 2.6], requires_grad=True)
    (quantiser(x) * torch.tensor([3.0, 4, 5, 6, 7])).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0, 4, 5, 6, 0]


def test_the_first_batch_sets_the_range_and_later_ones_move_it() -> None:
    quantiser = InputQuantiser(8)
    quantiser(torch.tensor([-1.0, 4.0]))
    assert (quantiser.low.item(), quantiser.high.item()) == (-1, 4)
    quantiser(torch.tensor([1.0, 14.0]))
    assert quantiser.low.item() == pytest.approx(-0.9)
    assert quantiser.high.item() == pytest.approx(5.0)
    assert quantiser.scale.item() == pytest.approx(5.9 / 255)
    state = deepcopy(quantiser.state_dict())
    quantiser.eval()(torch.tensor([-99.0, 99.0]))
    assert all(torch.equal(t, state[name]) for name, t in quantiser.state_dict().items())


def test_what_has_seen_nothing_changes_nothing() -> None:
    x = torch.randn(7)
    assert torch.equal(a_quantiser()(x), x)
    zeros = InputQuantiser(4)
    assert torch.equal(zeros(torch.zeros(7)), torch.zeros(7))
    assert torch.equal(zeros.eval()(x), x)
    zeros.train()(x)
    assert not torch.equal(zeros.eval()(x), x)


def test_nan_is_not_hidden() -> None:
    x = torch.tensor([1.0, float("nan")])
    assert a_quantiser(torch.ones(3))(x).isnan().tolist() == [False, True]
    quantiser = InputQuantiser(4)
    assert quantiser(x).isnan().all()
    assert quantiser(torch.ones(3)).isnan().all()


def test_autocast_does_not_lower_it() -> None:
    quantiser = InputQuantiser(8)
    with torch.autocast("cpu", torch.bfloat16):
        value = quantiser(torch.randn(4, 5).bfloat16())
    assert value.dtype == torch.float32
    assert len(set(value.flatten().tolist())) > 10


def a_student(**options: Any) -> nn.Sequential:
    return small_student(**{"in_bits": 6, **options})


@torch.no_grad()
def test_every_form_sees_the_same_inputs() -> None:
    student = a_student(execution="dense")
    student(X)
    expected = student.eval()(X)
    forms: tuple[Execution, ...] = ("auto", "level2", "three_stage")
    for execution in forms:
        other = a_student(execution=execution)
        other.load_state_dict(student.state_dict())
        assert torch.allclose(other.eval()(X), expected, atol=1e-5)
        with generated_once(other):
            assert torch.allclose(other(X), expected, atol=1e-5)


def bits_in(network: nn.Module) -> set[int]:
    return {m.bits for m in network.modules() if isinstance(m, InputQuantiser)}


@torch.no_grad()
def test_a_dense_copy_quantises_alike_or_not_at_all() -> None:
    student = a_student(execution="dense")
    student(X)
    student.eval()
    plain = densify(student)
    assert torch.equal(plain(X), student(X))
    assert bits_in(plain) == bits_in(student) == {6}
    assert isinstance(plain[0], nn.Conv2d)  # type: ignore[index]
    bare = densify(student, keeps_input_quantisers=False)
    assert [type(m) for m in bare.children()] == [
        nn.Conv2d, nn.ReLU, nn.Conv2d, nn.AdaptiveAvgPool2d, nn.Flatten, nn.Linear,
    ]  # fmt: skip
    assert bits_in(bare) == set()
    assert not torch.equal(bare(X), student(X))
    assert bits_in(student) == {6}


def test_an_exported_program_quantises() -> None:
    student = a_student()
    student(X)
    student.eval()
    program = torch.export.export(student, (X,))
    assert torch.allclose(program.module()(X), student(X), atol=1e-4)


def test_gradients_reach_the_factors() -> None:
    student = a_student()
    student(X).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in student.parameters())


def test_only_compressed_layers_of_torchs_own_quantise_their_inputs() -> None:
    class Own(nn.Linear):
        pass

    network = nn.Sequential(nn.Linear(8, 8), Own(8, 8), nn.Linear(8, 8))
    settings = {"0": LayerSetting.plain(32), "1": LayerSetting.plain(4), "2": LayerSetting.plain(4)}
    compress(network, settings, in_bits=4)
    quantised = [n for n, m in network.named_modules() if isinstance(m, InputQuantiser)]
    assert quantised == ["2.input_quantiser"]
    with pytest.raises(SettingError, match="in_bits is 9, expected 2 to 8 or 32"):
        compress(nn.Linear(2, 2), {"": LayerSetting.plain(4)}, in_bits=9)  # type: ignore[arg-type]
