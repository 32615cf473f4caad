"""Probabilities of being on the front: cases that can be worked out, and what must always hold."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlgsearch.results.analysis.uncertainty.front_probability import (
    DRAWS,
    front_probabilities,
    sample_std,
)

#: Five standard errors of a probability of one half.
TOLERANCE = 5 * 0.5 / math.sqrt(DRAWS)


def costs(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)[:, None]


def test_the_cheapest_and_a_clear_winner_are_certain() -> None:
    found = front_probabilities([[0.5, 0.51], [0.9, 0.91], [0.1, 0.11]], costs(1, 2, 3))
    assert found is not None
    assert found[0] == 1
    assert found[1] > 0.99
    assert found[2] < 0.01


def test_of_equal_costs_one_alone_is_on_the_front() -> None:
    found = front_probabilities([[0.8, 0.9]] * 3, costs(1, 1, 1))
    assert found == pytest.approx([1 / 3] * 3, abs=TOLERANCE)
    assert sum(found or []) == pytest.approx(1)


def test_two_alike_are_even() -> None:
    found = front_probabilities([[0.8, 0.9], [0.8, 0.9]], costs(1, 2))
    assert found == pytest.approx([1, 0.5], abs=TOLERANCE)


def test_known_students_t() -> None:
    """Equal spreads: each own variance is the pooled one, so the difference is one of two t's."""
    values = np.array([0.0, 0.02])  # s = 0.02 / sqrt(2), s / sqrt(2) = 0.01; 1 + 2 degrees
    found = front_probabilities([list(values), list(values + 0.03)], costs(1, 2))
    draws = np.random.default_rng(7).standard_t(3, size=(400_000, 2)) * 0.01
    expected = float((draws[:, 1] + 0.03 > draws[:, 0]).mean())
    assert found is not None
    assert found[1] == pytest.approx(expected, abs=TOLERANCE)


def test_without_a_spread_nothing_is_known() -> None:
    assert front_probabilities([[0.8], [0.9]], costs(1, 2)) is None
    assert front_probabilities([], np.zeros((0, 1))) is None


def test_one_seed_takes_the_spread_of_the_others() -> None:
    found = front_probabilities([[0.8], [0.7, 0.9]], costs(1, 2))
    assert found == pytest.approx([1, 0.5], abs=TOLERANCE)


def test_no_spread_at_all_is_a_plain_comparison() -> None:
    same = [[0.5, 0.5], [0.5, 0.5], [0.6, 0.6], [0.4, 0.4]]
    assert front_probabilities(same, costs(1, 2, 2, 1)) == [1, 0, 1, 0]


def test_accuracy_alone_leaves_one() -> None:
    found = front_probabilities([[0.5, 0.6], [0.8, 0.9]], np.zeros((2, 0)))
    assert sum(found or []) == pytest.approx(1)


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(
            st.lists(st.floats(0, 1), min_size=2, max_size=4),
            st.tuples(st.integers(1, 3), st.integers(1, 3)),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_it_is_a_probability_the_same_each_time_and_someone_is_always_on_the_front(
    students: list[tuple[list[float], tuple[int, int]]],
) -> None:
    accuracies = [values for values, _ in students]
    paid = np.array([pair for _, pair in students], dtype=float)
    found = front_probabilities(accuracies, paid)
    assert found is not None
    assert found == front_probabilities(accuracies, paid)
    assert all(0 <= probability <= 1 for probability in found)
    assert sum(found) >= 1 - 1e-9


def test_the_deviation_is_the_samples() -> None:
    assert sample_std([0.9]) is None
    assert sample_std([1.0, 2.0, 3.0]) == pytest.approx(1)
