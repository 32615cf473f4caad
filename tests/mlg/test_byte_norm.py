"""Batch-norm at 8 bits: a byte per channel, close to what it was."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mlgsearch.mlg.byte_norm import norm_codes, norm_values


@given(st.lists(st.floats(-1000, 1000, width=32), min_size=1, max_size=40))
def test_a_value_is_off_by_little_more_than_half_a_step(numbers: list[float]) -> None:
    values = torch.tensor(numbers)
    codes, bounds = norm_codes(values)
    assert codes.dtype == torch.int32
    assert 0 <= codes.min() <= codes.max() <= 255
    assert bounds.dtype == torch.float16
    spread = float(values.max() - values.min())
    rounding = float(values.abs().max()) / 2048 + 1e-4  # of the bounds, as float16
    error = (norm_values(codes, bounds) - values).abs().max()
    assert error <= 0.63 * spread / 255 + rounding


@pytest.mark.parametrize("value", [0.0, 1.0, -0.25])
def test_equal_values_stay_as_they_are(value: float) -> None:
    values = torch.full((7,), value)
    codes, bounds = norm_codes(values)
    assert not codes.any()
    assert torch.equal(norm_values(codes, bounds), values)


def test_what_is_too_large_becomes_the_largest() -> None:
    codes, bounds = norm_codes(torch.tensor([0.0, 1e30]))
    assert norm_values(codes, bounds)[1] == pytest.approx(65504, rel=1e-3)
