"""Codes and scales: the values of every quantiser, bit for bit."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mlgsearch.mlg.packing.bits import pack, unpack
from mlgsearch.mlg.quantise import QUANTISERS, Method, Quantiser, make_quantiser

BITS = (1, 2, 3, 4, 5, 6, 7, 8, 16)
METHODS = tuple(QUANTISERS)


def trained(method: Method, bits: int, latent: torch.Tensor) -> Quantiser:
    """Return a quantiser whose scale is off the fitted one, as after some steps."""
    quantiser = make_quantiser(method, bits)
    quantiser.fit(latent)
    for parameter in quantiser.parameters():
        parameter.data += 0.137
    return quantiser


@given(
    method=st.sampled_from(METHODS),
    bits=st.sampled_from(BITS),
    count=st.integers(1, 300),
    spread=st.sampled_from([1e-30, 1e-3, 0.5, 3.0, 40.0]),
    seed=st.integers(0, 2**31),
)
def test_the_decoded_codes_are_the_value(
    method: Method, bits: int, count: int, spread: float, seed: int
) -> None:
    latent = spread * torch.randn(count, generator=torch.Generator().manual_seed(seed))
    quantiser = trained(method, bits, latent)
    codes, scales = quantiser.encode(latent)
    assert codes.dtype == torch.int32
    assert codes.shape == latent.shape
    assert tuple(scales.shape) == (quantiser.scale_count,)
    again = unpack(pack(codes, bits), bits, count)
    value = make_quantiser(method, bits).decode(again, scales.clone())
    assert value.numpy().tobytes() == quantiser(latent).detach().numpy().tobytes()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bits", BITS)
def test_zeros_stay_zero(method: Method, bits: int) -> None:
    latent = torch.zeros(2, 5)
    quantiser = make_quantiser(method, bits)
    value = quantiser.decode(*quantiser.encode(quantiser.fit(latent)))
    assert value.numpy().tobytes() == latent.numpy().tobytes()


@pytest.mark.parametrize("method", METHODS)
def test_a_layout_in_memory_does_not_matter(method: Method) -> None:
    latent = torch.randn(6, 5, 3, 3).contiguous(memory_format=torch.channels_last)
    quantiser = trained(method, 4, latent)
    assert torch.equal(quantiser.decode(*quantiser.encode(latent)), quantiser(latent))


def test_full_precision_has_no_codes() -> None:
    with pytest.raises(AssertionError, match="no codes at 32 bits"):
        make_quantiser("dorefa", 32).encode(torch.zeros(1))
