import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mlgsearch.mlg.running.convolve import convolve

Geometry = dict[str, object]

#: Weight shape, input channels, and what else the convolution is called with.
CASES: dict[str, tuple[tuple[int, ...], int, Geometry]] = {
    "pointwise": ((12, 8, 1, 1), 8, {}),
    "strided pointwise": ((12, 8, 1, 1), 8, {"stride": (2, 2)}),
    "padded pointwise": ((12, 8, 1, 1), 8, {"padding": (1, 1)}),
    "plain": ((12, 8, 3, 3), 8, {"padding": (1, 1)}),
    "depthwise": ((8, 1, 3, 3), 8, {"padding": (1, 1), "groups": 8}),
    "strided depthwise": ((8, 1, 3, 3), 8, {"stride": (2, 2), "padding": (1, 1), "groups": 8}),
    "wide depthwise": ((8, 1, 5, 5), 8, {"padding": (2, 2), "groups": 8}),
    "two a channel": ((16, 1, 5, 3), 8, {"stride": (2, 1), "dilation": (1, 2), "groups": 8}),
    "same": ((8, 1, 5, 5), 8, {"padding": "same", "groups": 8}),
}


def run(
    case: str,
    *,
    is_ours: bool,
    dtype: torch.dtype,
    is_autocast: bool = False,
    has_bias: bool = True,
) -> list[Tensor]:
    """Return the output and the gradients of input, weight and bias, float32."""
    shape, channels, geometry = CASES[case]
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, channels, 9, 9, generator=generator)
    x = x.contiguous(memory_format=torch.channels_last).to(dtype).requires_grad_()
    weight = torch.randn(shape, generator=generator).to(dtype).requires_grad_()
    bias = torch.randn(shape[0], generator=generator).to(dtype).requires_grad_()
    act = convolve if is_ours else F.conv2d
    with torch.autocast("cpu", torch.bfloat16, enabled=is_autocast):
        out = act(x, weight, bias if has_bias else None, **geometry)  # type: ignore[arg-type]
    torch.autograd.backward(out, torch.randn(out.shape, generator=generator).to(out.dtype))
    found = [out, x.grad, weight.grad, bias.grad if has_bias else bias]
    return [tensor.detach().float() for tensor in found if tensor is not None]


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("is_autocast", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_bfloat16_and_its_gradients_are_those_of_float32_but_for_rounding(
    case: str, is_autocast: bool, has_bias: bool
) -> None:
    expected = run(case, is_ours=False, dtype=torch.float32, has_bias=has_bias)
    dtype = torch.float32 if is_autocast else torch.bfloat16
    found = run(case, is_ours=True, dtype=dtype, is_autocast=is_autocast, has_bias=has_bias)
    assert len(found) == len(expected) == 4
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        assert (ours - theirs).norm() < 0.02 * theirs.norm()


@pytest.mark.parametrize("case", CASES)
def test_float32_is_torchs_own_bit_for_bit(case: str) -> None:
    ours = run(case, is_ours=True, dtype=torch.float32)
    theirs = run(case, is_ours=False, dtype=torch.float32)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("case", ["pointwise", "strided depthwise"])
def test_what_it_gives_in_bfloat16_is_channels_last_like_torchs(case: str) -> None:
    shape, channels, geometry = CASES[case]
    x = torch.randn(3, channels, 9, 9).contiguous(memory_format=torch.channels_last)
    x.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        out = convolve(x, torch.randn(shape), None, **geometry)  # type: ignore[arg-type]
    assert out.dtype == torch.bfloat16
    assert out.is_contiguous(memory_format=torch.channels_last)
    torch.autograd.backward(out.sum())
    assert x.grad is not None
    assert x.grad.is_contiguous(memory_format=torch.channels_last)


def test_a_single_image_without_a_batch_is_convolved_as_torch_does() -> None:
    x, weight = torch.randn(8, 5, 5).bfloat16(), torch.randn(12, 8, 1, 1).bfloat16()
    assert torch.equal(convolve(x, weight), F.conv2d(x, weight))


def test_only_the_gradients_asked_for_are_computed() -> None:
    x = torch.randn(2, 4, 9, 9).bfloat16()
    weight = torch.randn(4, 1, 3, 3).bfloat16().requires_grad_()
    torch.autograd.backward(convolve(x, weight, None, (2, 2), (1, 1), (1, 1), 4).sum())
    assert weight.grad is not None
    assert x.grad is None
