import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mlgsearch.mlg.packing.bits import WIDTHS, pack, packed_length, unpack


@given(bits=st.sampled_from(WIDTHS), count=st.integers(0, 70), seed=st.integers(0, 2**31))
def test_what_is_packed_comes_back(bits: int, count: int, seed: int) -> None:
    codes = torch.from_numpy(np.random.default_rng(seed).integers(0, 2**bits, count))
    stream = pack(codes, bits)
    assert stream.dtype == torch.uint8
    assert tuple(stream.shape) == (packed_length(count, bits),) == (-(-count * bits // 8),)
    assert torch.equal(unpack(stream, bits, count), codes.to(torch.int32))


@given(bits=st.sampled_from(WIDTHS), seed=st.integers(0, 2**31))
def test_the_stream_is_one_long_little_endian_number(bits: int, seed: int) -> None:
    codes = np.random.default_rng(seed).integers(0, 2**bits, 19).tolist()
    number = sum(code << (i * bits) for i, code in enumerate(codes))
    expected = number.to_bytes(packed_length(19, bits), "little")
    assert bytes(pack(torch.tensor(codes), bits).tolist()) == expected


@pytest.mark.parametrize("bits", WIDTHS)
def test_the_largest_codes_fit(bits: int) -> None:
    codes = torch.full((3, 11), 2**bits - 1)
    assert unpack(pack(codes, bits), bits, 33).tolist() == codes.flatten().tolist()


def test_a_packed_stream_holds_no_more_than_itself() -> None:
    stream = pack(torch.ones(9, dtype=torch.int64), 3)
    assert stream.untyped_storage().nbytes() == 4


@pytest.mark.parametrize("codes", [[4], [-1], [0, 1, 2, 3, 4]])
def test_a_code_out_of_range_is_refused(codes: list[int]) -> None:
    with pytest.raises(ValueError, match=r"codes of 2 bits lie in 0\.\.3, got"):
        pack(torch.tensor(codes), 2)


@pytest.mark.parametrize("bits", [0, 9, 32, -1])
def test_a_width_that_is_not_packed_is_refused(bits: int) -> None:
    with pytest.raises(ValueError, match="expected one of"):
        pack(torch.zeros(1), bits)
    with pytest.raises(ValueError, match="expected one of"):
        unpack(torch.zeros(1, dtype=torch.uint8), bits, 1)


def test_a_stream_of_another_length_or_type_is_refused() -> None:
    with pytest.raises(ValueError, match=r"3 codes of 3 bits are uint8 of shape \(2,\)"):
        unpack(torch.zeros(3, dtype=torch.uint8), 3, 3)
    with pytest.raises(ValueError, match=r"got torch\.int32"):
        unpack(torch.zeros(2, dtype=torch.int32), 3, 3)
