import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlgsearch.results.analysis.front import hypervolume, is_non_dominated
from mlgsearch.study.file.search_spec import EarlyStoppingSpec
from mlgsearch.study.search.halving import Halving, Ladder, replay

Values = npt.NDArray[np.float64]


def a_rule(factor: int, **changed: Any) -> Halving:
    """A rule whose other numbers are the study file's defaults."""
    return Halving(**EarlyStoppingSpec(factor=factor, **changed).model_dump())


RULE = a_rule(3, tolerance=0, min_trials=4)

#: Few values, so that many are equal.
coarse = st.integers(0, 8).map(lambda i: i / 8)


@st.composite
def rungs(draw: st.DrawFn) -> tuple[Values, Values]:
    """Costs (n, m) and accuracies (n,) of the trials at a rung."""
    n, m = draw(st.integers(1, 24)), draw(st.integers(1, 2))
    costs = draw(arrays(np.float64, (n, m), elements=coarse))
    return costs, draw(arrays(np.float64, (n,), elements=coarse))


rules = st.builds(
    Halving,
    factor=st.integers(2, 5),
    first_rung=st.integers(1, 4),
    rung_factor=st.none() | st.integers(2, 5),
    tolerance=coarse,
    min_trials=st.integers(1, 8),
)


@pytest.mark.parametrize(
    ("rule", "epochs", "rungs"),
    [
        (RULE, 1, ()),
        (RULE, 3, (1,)),
        (RULE, 10, (1, 3, 9)),
        (RULE, 9, (1, 3)),
        (a_rule(2, first_rung=5), 41, (5, 10, 20, 40)),
        (a_rule(4, first_rung=6), 6, ()),
        (a_rule(24, rung_factor=2), 9, (1, 2, 4, 8)),
    ],
)
def test_rungs_lie_below_the_full_length(rule: Halving, epochs: int, rungs: tuple[int]) -> None:
    assert rule.rungs(epochs) == rungs


def test_one_in_factor_of_the_trials_at_least_as_small_goes_on() -> None:
    # All of one size, the best first.
    accuracies = np.linspace(0.9, 0.1, 9)
    kept = [RULE.goes_on(i, np.ones((9, 1)), accuracies) for i in range(9)]
    assert kept == [True] * 3 + [False] * 6
    # Sizes grow with the number, and so does the standing that is needed.
    costs = np.arange(9.0)[:, None]
    kept = [RULE.goes_on(i, costs, accuracies) for i in range(9)]
    assert kept == [True] * 3 + [False] * 6
    kept = [RULE.goes_on(i, costs, accuracies[::-1]) for i in range(9)]
    assert kept == [True] * 9


def test_another_is_better_only_by_more_than_the_tolerance() -> None:
    rule = a_rule(3, tolerance=0.05, min_trials=4)
    costs = np.ones((4, 1))
    # The last is judged: of the others none, one, two are better, and the rest count by half.
    for others, goes_on in [
        ((0.54, 0.54, 0.1), True),
        ((0.56, 0.1, 0.1), True),
        ((0.56, 0.54, 0.1), False),
        ((0.56, 0.56, 0.1), False),
    ]:
        assert rule.goes_on(3, costs, np.array([*others, 0.5])) is goes_on


def test_a_crowd_at_chance_level_does_not_go_on_together() -> None:
    accuracies = np.array([0.9, 0.8, *[0.1] * 40])
    of_many_sizes = np.arange(42.0)[:, None]
    kept = [i for i in range(42) if RULE.goes_on(i, of_many_sizes, accuracies)]
    assert kept == [0, 1, 2]  # of the third's size there are too few to compare
    # The same with the crowd smaller than the good ones: its smallest is on the front.
    kept = [i for i in range(42) if RULE.goes_on(i, -of_many_sizes, accuracies)]
    assert kept == [0, 1, 39, 40, 41]


@given(rules, rungs())
def test_a_trial_that_extends_the_front_at_a_rung_is_never_stopped(
    rule: Halving, rung: tuple[Values, Values]
) -> None:
    costs, accuracies = rung
    points = np.column_stack([accuracies, costs])
    directions = [True] + [False] * costs.shape[1]
    for i in np.flatnonzero(is_non_dominated(points, directions)):
        assert rule.goes_on(int(i), costs, accuracies)


@given(rules, coarse, coarse)
def test_a_lone_trial_is_never_stopped(rule: Halving, cost: float, accuracy: float) -> None:
    assert rule.goes_on(0, np.array([[cost]]), np.array([accuracy]))


@given(rules, rungs(), st.data())
def test_a_smaller_trial_is_never_judged_by_larger_ones(
    rule: Halving, rung: tuple[Values, Values], data: st.DataObject
) -> None:
    costs, accuracies = rung
    one = data.draw(st.integers(0, len(costs) - 1))
    is_at_least_as_small = (costs <= costs[one]).all(axis=1)
    others = data.draw(arrays(np.float64, accuracies.shape, elements=coarse))
    changed = np.where(is_at_least_as_small, accuracies, others)
    assert rule.goes_on(one, costs, changed) == rule.goes_on(one, costs, accuracies)


@given(rules, rungs(), st.data())
def test_a_more_accurate_trial_does_not_fare_worse(
    rule: Halving, rung: tuple[Values, Values], data: st.DataObject
) -> None:
    costs, accuracies = rung
    one = data.draw(st.integers(0, len(costs) - 1))
    better = accuracies.copy()
    better[one] += data.draw(coarse)
    assert rule.goes_on(one, costs, better) >= rule.goes_on(one, costs, accuracies)


@given(rungs())
def test_while_there_are_few_to_compare_all_go_on(rung: tuple[Values, Values]) -> None:
    costs, accuracies = rung
    rule = a_rule(2, min_trials=len(costs) + 1)
    assert all(rule.goes_on(i, costs, accuracies) for i in range(len(costs)))


def test_an_accuracy_that_is_no_number_stops_nobody() -> None:
    costs = np.ones((4, 1))
    accuracies = np.array([math.nan, 0.5, 0.6, 0.7])
    assert [RULE.goes_on(i, costs, accuracies) for i in range(4)] == [True, False, True, True]


def a_ladder(*accuracies: float) -> Ladder:
    """Trials of one size that were judged at epoch 1, each when it came; and those stopped."""
    ladder = Ladder(RULE, 9)
    for number, accuracy in enumerate(accuracies):
        put(ladder, number, accuracy)
    return ladder


def put(ladder: Ladder, number: int, accuracy: float) -> bool:
    ladder.put(number, [1.0], 1, accuracy)
    goes_on = ladder.goes_on(number, 1, 1)
    if not goes_on:
        ladder.stop(number, 1)
    return goes_on


def test_a_stopped_trial_is_ready_once_later_ones_make_it_stand_high_enough() -> None:
    ladder = a_ladder(0.9, 0.8, 0.7)
    assert not put(ladder, 3, 0.6)
    assert ladder.next_ready is None
    ready: list[int | None] = []
    for number in range(4, 11):
        put(ladder, number, 0.1)
        ready.append(ladder.next_ready)
    # Three are better; from ten on that is fewer than a third.
    assert ready == [None] * 5 + [3, 3]
    ladder.take_up(3)
    assert ladder.next_ready is None


def test_a_trial_is_judged_only_where_it_reached_a_rung() -> None:
    ladder = a_ladder(0.9, 0.8, 0.7, 0.6)
    assert ladder.rungs == (1, 3)
    assert not ladder.goes_on(3, 1, 1)
    assert ladder.goes_on(3, 2, 2)
    ladder.put(3, [1.0], 3, 0.6)
    assert ladder.goes_on(3, 1, 3)  # the only one at epoch 3, where it stands now
    ladder.stop(9, 0)
    assert ladder.next_ready is None


def test_a_failed_trial_is_no_measure() -> None:
    ladder = a_ladder(0.9, 0.8, 0.7, 0.1, 0.1, 0.65)
    assert not ladder.goes_on(5, 1, 1)
    assert ladder.next_ready is None
    ladder.drop(0)
    ladder.drop(3)
    assert ladder.next_ready is None
    ladder.drop(1)
    assert ladder.next_ready == 4  # three are left: too few
    ladder.drop(4)
    assert ladder.next_ready == 5


@given(rules, st.integers(1, 12), st.integers(1, 30), st.integers(0, 2**16))
def test_at_the_end_every_stopped_trial_stands_low_at_its_rung(
    rule: Halving, epochs: int, n: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    curves, costs = rng.random((n, epochs)), rng.random(n)
    done = replay(curves, costs, rule)
    rungs = rule.rungs(epochs)
    assert set(done.tolist()) <= {*rungs, epochs}
    for rung in rungs:
        there = np.flatnonzero(done >= rung)
        for i, trial in enumerate(there):
            if done[trial] == rung:
                assert not rule.goes_on(i, costs[there, None], curves[there, rung - 1])
    points = np.column_stack([curves[:, 0], costs])
    if rungs:
        best = is_non_dominated(points, [True, False])
        assert (done[best] > rungs[0]).all() or rungs[0] > 1


def a_synthetic_study(seed: int, n: int = 60, epochs: int = 9) -> tuple[Values, Values]:
    """Learning curves (n, epochs) that rise to a limit at speeds of their own, with noise; sizes.

    A student's limit lies below what its size allows, by an amount that few keep small.
    """
    rng = np.random.default_rng(seed)
    log_size = rng.uniform(-2.3, -0.7, n)
    limit = 0.93 - 0.5 * np.exp(-2.2 * (log_size + 2.3)) - rng.exponential(0.15, n)
    limit = np.clip(limit, 0.1, 1)[:, None]
    time = np.arange(1, epochs + 1) / epochs
    slowness = rng.uniform(0.15, 0.3, n)[:, None]
    risen = (1 - np.exp(-time / slowness)) / (1 - np.exp(-1 / slowness))  # (n, epochs)
    noise = rng.normal(0, 0.005, (n, epochs)) * (1.5 - time)
    return np.clip(0.1 + (limit - 0.1) * risen + noise, 0, 1), log_size


def test_on_synthetic_curves_few_of_the_final_front_are_stopped() -> None:
    lost, on_front, spent, kept = 0, 0, [], []
    for seed in range(20):
        curves, log_size = a_synthetic_study(seed)
        done = replay(curves, log_size, RULE)
        points = np.column_stack([curves[:, -1], log_size])
        best = is_non_dominated(points, [True, False])
        lost += int((done[best] < 9).sum())
        on_front += int(best.sum())
        spent.append(done.sum() / curves.size)
        volume = hypervolume(points, [True, False], [0, 0])
        kept.append(hypervolume(points[done == 9], [True, False], [0, 0]) / volume)
    assert lost / on_front < 0.02
    assert np.mean(spent) < 0.8
    assert np.mean(kept) > 0.999
