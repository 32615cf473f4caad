from copy import deepcopy

import pytest
import torch
from torch import nn

from mlgsearch.errors import SettingError
from mlgsearch.mlg.compress import compress, densify
from mlgsearch.mlg.half_norm import (
    HalfNorm,
    can_be_half,
    halve_norms,
    is_half,
    norm_bits_of,
    plain_norm,
    to_half,
)
from mlgsearch.mlg.setting import LayerSetting
from tests.mlg.test_batch_norm import SHAPES, a_norm


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_plain_copy_gives_the_same_bits(shape: tuple[int, ...], affine: bool) -> None:
    norm = a_norm(shape, affine=affine, eps=1e-3)
    x = 3 * torch.randn(shape)
    full = norm(x)
    halve_norms(norm)
    assert isinstance(norm, HalfNorm)
    plain = densify(norm)
    assert type(plain) is type(norm).__mro__[2]
    for given in (x, x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x):
        expected = norm(given)
        assert torch.equal(plain(given), expected)
        assert not torch.equal(expected, full)
        assert (expected - full).abs().max() < 2e-3 * full.abs().max()
    if affine:  # it loads into what its user has
        untouched = type(plain)(shape[1], eps=1e-3).eval()
        untouched.load_state_dict(plain.state_dict())
        assert torch.equal(untouched(x), expected)


def test_training_is_torchs_own() -> None:
    norm, half = (a_norm((4, 6, 5, 5)).train() for _ in range(2))
    half.load_state_dict(norm.state_dict())
    halve_norms(half)
    x = torch.randn(4, 6, 5, 5)
    assert torch.equal(half(x), norm(x))
    half(x).square().sum().backward()
    assert all(parameter.grad is not None for parameter in half.parameters())
    for name, tensor in norm.state_dict().items():
        assert name == "num_batches_tracked" or half.state_dict()[name].dtype == tensor.dtype


def test_copies_and_states_go_back_and_forth() -> None:
    norm = a_norm((2, 6, 5, 5))
    state = {name: tensor.clone() for name, tensor in norm.state_dict().items()}
    halve_norms(norm)
    assert norm.state_dict().keys() == state.keys()
    copy = deepcopy(norm)
    x = torch.randn(2, 6, 5, 5)
    assert torch.equal(copy(x), norm(x))
    fresh = nn.BatchNorm2d(6).eval()
    halve_norms(fresh)
    fresh.load_state_dict(state)
    assert torch.equal(fresh(x), norm(x))


def test_what_half_precision_cannot_hold_is_its_largest() -> None:
    assert to_half(torch.tensor([1e9, -1e9, 65504.0, 1.0])).tolist() == [65504, -65504, 65504, 1]
    assert to_half(torch.tensor([float("nan")])).isnan().all()


class Own(nn.BatchNorm2d):
    """A class of one's own."""


def test_only_torchs_own_norms_are_halved_batch_norm_where_it_has_statistics() -> None:
    network = nn.Sequential(
        nn.BatchNorm2d(3),
        nn.BatchNorm2d(3, track_running_stats=False),
        nn.GroupNorm(1, 3),
        Own(3),
        nn.InstanceNorm2d(3, track_running_stats=True),
    )
    assert [can_be_half(module) for module in network] == [True, False, True, False, False]
    assert norm_bits_of(network) == 32
    halve_norms(network)
    halve_norms(network)
    assert [is_half(module) for module in network] == [True, False, True, False, False]
    assert norm_bits_of(network) == 16
    assert can_be_half(network[0])


def test_compress_knows_16_and_32() -> None:
    network = nn.Sequential(nn.Conv2d(3, 6, 1), nn.BatchNorm2d(6))
    settings = {"0": LayerSetting.plain(4)}
    with pytest.raises(SettingError, match="norm_bits is 8, expected 16 or 32"):
        compress(network, settings, norm_bits=8)  # type: ignore[arg-type]
    compress(network, settings)
    assert type(network[1]) is nn.BatchNorm2d


def test_an_exported_program_evaluates_alike() -> None:
    norm = a_norm((2, 6, 5, 5))
    halve_norms(norm)
    x = torch.randn(2, 6, 5, 5)
    program = torch.export.export(norm, (x,))
    assert torch.allclose(program.module()(x), norm(x), atol=1e-5)


@pytest.mark.parametrize(
    "norm", [nn.GroupNorm(2, 6), nn.LayerNorm(6), nn.RMSNorm(6), nn.LayerNorm(6, bias=False)]
)
@torch.no_grad()
def test_a_norm_without_statistics_evaluates_with_rounded_numbers(norm: nn.Module) -> None:
    for parameter in norm.parameters():
        parameter.copy_(torch.randn_like(parameter))
    exact, x = deepcopy(norm), torch.randn(4, 6, 6)
    network = nn.Sequential(norm)
    halve_norms(network)
    assert torch.equal(network.train()(x), exact(x))
    for parameter in exact.parameters():
        parameter.copy_(parameter.half().float())
    assert torch.equal(network.eval()(x), exact(x))
    assert dict(norm.named_parameters()).keys() == dict(exact.named_parameters()).keys()
    plain = plain_norm(norm)  # type: ignore[arg-type]  # halved above
    assert type(plain) is type(exact)
    assert torch.equal(plain(x), exact(x))
