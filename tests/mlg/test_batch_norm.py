import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mlgsearch.mlg.batch_norm import has_statistics, scale_and_shift, set_scale_and_shift

SHAPES = [
    (2, 64, 8, 8),
    (1, 64, 1, 1),
    (3, 17, 9, 3),
    (8, 512, 4, 4),
    (5, 6),
    (2, 5, 4),
    (1, 8, 3, 3, 3),
]
KINDS: dict[int, type[_BatchNorm]] = {
    2: nn.BatchNorm1d,
    3: nn.BatchNorm1d,
    4: nn.BatchNorm2d,
    5: nn.BatchNorm3d,
}


def a_norm(shape: tuple[int, ...], *, affine: bool = True, eps: float = 1e-5) -> _BatchNorm:
    norm = KINDS[len(shape)](shape[1], affine=affine, eps=eps).eval()
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.normal_()
    norm.running_var.uniform_(0, 5)
    norm.running_var[0] = 0
    for parameter in norm.parameters():
        parameter.data.normal_()
    return norm


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_two_numbers_a_channel_give_the_same_bits(shape: tuple[int, ...], affine: bool) -> None:
    for eps in (1e-5, 1e-3):
        norm = a_norm(shape, affine=affine, eps=eps)
        plain = KINDS[len(shape)](shape[1], affine=affine).eval()
        set_scale_and_shift(plain, *scale_and_shift(norm))
        x = 3 * torch.randn(shape)
        layouts = [x]
        if x.dim() == 4:
            layouts.append(x.contiguous(memory_format=torch.channels_last))
        for given in layouts:
            assert torch.equal(plain(given), norm(given))


def test_the_norm_asked_is_left_alone() -> None:
    norm = a_norm((2, 4, 3, 3))
    before = {name: tensor.clone() for name, tensor in norm.state_dict().items()}
    scale_and_shift(norm)
    assert all(torch.equal(before[name], t) for name, t in norm.state_dict().items())


def test_only_batch_norms_with_statistics_have_them() -> None:
    assert has_statistics(nn.BatchNorm2d(3))
    assert not has_statistics(nn.BatchNorm2d(3, track_running_stats=False))
    assert not has_statistics(nn.GroupNorm(1, 3))
