"""Entropy coding of factors: an exact round trip, near the entropy, and nothing else is taken."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mlgsearch.errors import DataError
from mlgsearch.mlg.packing.bits import WIDTHS
from mlgsearch.mlg.packing.coding import Codes, decode, encode, read_varint, varint


def a_factor(bits: int, count: int, spread: float, seed: int = 0) -> Codes:
    """Return codes of a normal distribution; ``spread`` is its deviation in parts of the range."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(count, generator=generator) * spread * 2**bits + (2**bits - 1) / 2
    return Codes(drawn.round().clamp(0, 2**bits - 1).to(torch.int32), bits)


def same(first: list[Codes], second: list[Codes]) -> bool:
    pairs = zip(first, second, strict=True)
    return all(a.bits == b.bits and torch.equal(a.values, b.values) for a, b in pairs)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(WIDTHS), st.integers(0, 300), st.sampled_from([0.01, 0.15, 0.3, 9.0])
        ),
        max_size=5,
    )
)
def test_what_is_decoded_is_what_was_encoded(shapes: list[tuple[int, int, float]]) -> None:
    factors = [a_factor(*shape, seed=at) for at, shape in enumerate(shapes)]
    try:
        content = encode(factors)
    except DataError:
        assert sum(count for _, count, _ in shapes) > 500  # nearly all the same
        return
    assert same(decode(content), factors)


@pytest.mark.parametrize(("bits", "spread"), [(3, 0.2), (4, 0.2), (6, 0.15), (8, 0.15)])
def test_a_large_factor_takes_little_more_than_its_entropy(bits: int, spread: float) -> None:
    factor = a_factor(bits, 20_000, spread)
    counts = np.bincount(factor.values.numpy(), minlength=2**bits)
    shares = counts[counts > 0] / counts.sum()
    entropy = -float(shares @ np.log2(shares)) * len(factor.values) / 8
    assert entropy < len(encode([factor])) < 1.01 * entropy + 2 ** min(bits, 6)


def test_a_small_factor_costs_a_few_bytes_more_than_its_codes() -> None:
    even = Codes(torch.arange(64, dtype=torch.int32) % 8, 3)
    assert len(encode([even])) <= 24 + 1 + 2 + 4 + 1
    assert len(encode([a_factor(3, 64, 0.2)])) <= 24 + 5


def test_codes_that_are_all_the_same_are_refused_where_they_are_many() -> None:
    few, many = (Codes(torch.zeros(n, dtype=torch.int32), 4) for n in (100, 100_000))
    assert same(decode(encode([few])), [few])
    with pytest.raises(DataError, match="nearly all the same"):
        encode([many])


def test_a_small_file_cannot_ask_for_much_work() -> None:
    bomb = varint(1) + bytes([4 << 3]) + varint(2**30) + (2**23).to_bytes(4, "little")
    with pytest.raises(DataError, match="are too many"):
        decode(bomb)


@given(st.binary(max_size=60))
def test_any_bytes_are_decoded_or_refused(content: bytes) -> None:
    try:
        factors = decode(content)
    except DataError:
        return
    assert all(int(f.values.min()) >= 0 for f in factors if len(f.values))


@given(st.data())
def test_a_byte_that_was_changed_is_noticed_or_changes_codes(data: st.DataObject) -> None:
    factors = [a_factor(3, 200, 0.2), a_factor(6, 50, 0.2)]
    content = bytearray(encode(factors))
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    try:
        found = decode(bytes(content))
    except DataError:
        return
    assert len(found) != 2 or not same(found, factors)


@given(st.integers(0, 2**35 - 1))
def test_a_count_comes_back(value: int) -> None:
    made = varint(value)
    assert read_varint(made, 0) == (value, len(made))
    assert len(made) == max(1, math.ceil(value.bit_length() / 7))
