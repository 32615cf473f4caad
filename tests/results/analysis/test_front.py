"""The front against a brute-force search, hypervolume against two reckonings of our own."""

import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlgsearch.records import TrialState
from mlgsearch.results.analysis.front import front, front_hypervolume, hypervolume, is_non_dominated
from tests.results.samples import a_complete, a_trial, some_sizes

PAIR = ("accuracy", "memory_ratio")

# Whole numbers on a small grid: ties in one objective and equal points come up often.
grid = st.integers(-3, 3).map(float)


@st.composite
def clouds(draw: st.DrawFn, most: int = 12) -> tuple[np.ndarray, list[bool]]:
    m = draw(st.integers(1, 4))
    points = draw(st.lists(st.lists(grid, min_size=m, max_size=m), max_size=most))
    directions = draw(st.lists(st.booleans(), min_size=m, max_size=m))
    return np.asarray(points, dtype=np.float64).reshape(len(points), m), directions


def _is_dominated(point: np.ndarray, others: np.ndarray, larger: list[bool]) -> bool:
    gains = (others - point) * np.where(larger, 1, -1)
    return bool(((gains >= 0).all(axis=1) & (gains > 0).any(axis=1)).any())


def _inclusion_exclusion(values: np.ndarray, larger: list[bool], reference: list[float]) -> float:
    """Sum the boxes, less those shared by two, plus those shared by three, and so on."""
    boxes = np.clip((values - reference) * np.where(larger, 1, -1), 0, None)  # (n, m) edges
    total = 0.0
    for size in range(1, len(boxes) + 1):
        for chosen in combinations(boxes, size):
            total += (-1) ** (size + 1) * float(np.prod(np.min(chosen, axis=0)))
    return total


def _sweep(values: np.ndarray, larger: list[bool], reference: list[float]) -> float:
    """Add the strips under a staircase, in two dimensions."""
    edges = np.clip((values - reference) * np.where(larger, 1, -1), 0, None)
    total, height = 0.0, 0.0
    for width, tall in sorted(edges.tolist(), reverse=True):
        total += width * max(0.0, tall - height)
        height = max(height, tall)
    return total


@given(clouds())
def test_the_front_is_what_brute_force_finds(cloud: tuple[np.ndarray, list[bool]]) -> None:
    values, larger = cloud
    expected = [not _is_dominated(point, values, larger) for point in values]
    assert is_non_dominated(values, larger).tolist() == expected


@given(clouds(most=8), st.lists(grid, min_size=4, max_size=4))
def test_hypervolume_is_inclusion_exclusion(
    cloud: tuple[np.ndarray, list[bool]], corner: list[float]
) -> None:
    values, larger = cloud
    reference = corner[: len(larger)]
    expected = _inclusion_exclusion(values, larger, reference)
    assert hypervolume(values, larger, reference) == pytest.approx(expected, abs=1e-12)


@given(
    st.lists(st.tuples(st.floats(-2, 2), st.floats(-2, 2)), max_size=60),
    st.tuples(st.booleans(), st.booleans()),
)
def test_hypervolume_is_a_sweep_in_two_dimensions(
    points: list[tuple[float, float]], directions: tuple[bool, bool]
) -> None:
    values, larger = np.asarray(points, dtype=np.float64).reshape(-1, 2), list(directions)
    reference = [0.25, -0.5]
    expected = _sweep(values, larger, reference)
    assert hypervolume(values, larger, reference) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(clouds(), st.lists(grid, min_size=4, max_size=4))
def test_hypervolume_is_that_of_the_front_and_never_shrinks(
    cloud: tuple[np.ndarray, list[bool]], corner: list[float]
) -> None:
    values, larger = cloud
    reference = corner[: len(larger)]
    whole = hypervolume(values, larger, reference)
    kept = values[is_non_dominated(values, larger)]
    assert hypervolume(kept, larger, reference) == pytest.approx(whole, abs=1e-12)
    assert hypervolume(values[:-1], larger, reference) <= whole + 1e-12


def test_equal_points_are_kept_together() -> None:
    values = np.array([[1.0, 2.0], [1.0, 2.0], [2.0, 1.0], [1.0, 1.0], [1.0, 1.0]])
    assert is_non_dominated(values, [True, True]).tolist() == [True, True, True, False, False]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_are_refused(bad: float) -> None:
    values = np.array([[1.0, 2.0], [bad, 0.0]])
    with pytest.raises(ValueError, match=r"point 1 is \[-?(nan|inf), 0.0\]: not finite"):
        is_non_dominated(values, [True, True])
    with pytest.raises(ValueError, match="not finite"):
        hypervolume(values, [True, True], [0, 0])
    with pytest.raises(ValueError, match="not finite"):
        hypervolume(values[:1], [True, True], [0, bad])


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(3, 2\), expected \(n, 1\)"):
        is_non_dominated(np.zeros((3, 2)), [True])
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        hypervolume(np.zeros(3), [True], [0.0])
    with pytest.raises(ValueError, match="shape"):
        is_non_dominated(np.zeros((3, 0)), [])


def test_only_complete_trials_reach_the_front_smallest_first() -> None:
    trials = [
        a_complete(5, 0.9, 0.5),
        a_complete(4, 0.8, 0.1),
        a_complete(3, 0.7, 0.2),
        a_trial(2, state=TrialState.PRUNED, accuracy=0.99, sizes=some_sizes(0.01)),
        a_trial(1, state=TrialState.FAIL),
        a_trial(0),
    ]
    assert [trial.number for trial in front(trials, PAIR)] == [4, 5]
    assert [trial.number for trial in front(trials, ("accuracy",))] == [5]


def test_of_equal_trials_the_lowest_number_stands() -> None:
    trials = [a_complete(n, 0.9, 0.1, reused_from=None if n == 3 else 3) for n in (7, 3, 5)]
    assert [trial.number for trial in front(trials, PAIR)] == [3]


def test_nothing_has_an_empty_front() -> None:
    assert front([a_trial(0)], PAIR) == []
    assert front_hypervolume([], PAIR, {}) == 0.0


@pytest.mark.parametrize(
    ("accuracy", "memory_ratio"),
    [(None, 0.1), (math.nan, 0.1), (math.inf, 0.1), (0.9, 0.0), (0.9, math.nan)],
)
def test_a_trial_without_a_usable_value_is_left_out(
    accuracy: float | None, memory_ratio: float
) -> None:
    sizes = replace(some_sizes(), memory_ratio=memory_ratio)
    bad = a_trial(17, state=TrialState.COMPLETE, accuracy=accuracy, sizes=sizes)
    trials = [a_complete(0, 0.5, 0.5), bad]
    assert [trial.number for trial in front(trials, PAIR)] == [0]
    assert front_hypervolume(trials, PAIR, {}) == front_hypervolume(trials[:1], PAIR, {}) > 0


def test_a_trial_without_packed_bytes_is_left_out_where_they_are_an_objective() -> None:
    trials = [a_complete(0, 0.9, 0.1), a_complete(1, 0.8, 0.1, packed_bytes=10_000)]
    assert [trial.number for trial in front(trials, ("accuracy", "packed_bytes"))] == [1]
    assert [trial.number for trial in front(trials, PAIR)] == [0]


def test_an_unknown_objective_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown objective 'acuracy'; there is accuracy, memory"):
        front([], ("acuracy",))


def test_hypervolume_counts_fractions_times_decades() -> None:
    trials = [a_complete(0, 0.9, 0.01), a_complete(1, 0.95, 0.1), a_complete(2, 0.5, 0.5)]
    assert front_hypervolume(trials, PAIR, {}) == pytest.approx(0.9 * 2 + 0.05 * 1)
    larger_than_the_teacher = [a_complete(0, 0.9, 1.5)]
    assert front_hypervolume(larger_than_the_teacher, PAIR, {}) == 0.0


def test_hypervolume_counts_from_the_studys_reference() -> None:
    trials = [a_complete(0, 0.9, 0.01)]
    assert front_hypervolume(trials, PAIR, {"accuracy": 0.4}) == pytest.approx(0.5 * 2)
    both = {"accuracy": 0.4, "memory_ratio": -1.0, "loss": 3.0}
    assert front_hypervolume(trials, PAIR, both) == pytest.approx(0.5 * 1)


def test_three_objectives_make_a_larger_front() -> None:
    trials = [
        a_complete(0, 0.9, 0.1, sizes=some_sizes(0.1, generation_macs=10**9)),
        a_complete(1, 0.8, 0.2, sizes=some_sizes(0.2, generation_macs=10**6)),
    ]
    assert [trial.number for trial in front(trials, PAIR)] == [0]
    assert [trial.number for trial in front(trials, (*PAIR, "generation_macs"))] == [0, 1]
    assert front_hypervolume(trials, (*PAIR, "generation_macs"), {}) > 0
