"""Against HiGHS, SciPy's exact solver."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp

from mlgsearch.planning.budget.knapsack import Knapsack

Lists = list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]


def least_damage(lists: Lists, budget: int) -> float:
    sizes = np.concatenate([s for s, _ in lists])
    damages = np.concatenate([d for _, d in lists])
    owner = np.repeat(np.arange(len(lists)), [len(s) for s, _ in lists])
    one_each = LinearConstraint((owner == np.arange(len(lists))[:, None]).astype(float), 1, 1)
    found = milp(
        damages,
        integrality=np.ones(len(sizes)),
        bounds=Bounds(0, 1),
        constraints=[LinearConstraint(sizes[None].astype(float), ub=budget), one_each],
        options={"mip_rel_gap": 1e-9},
    )
    assert found.success
    return float(found.fun)


def lists_of(draw: np.random.Generator, count: int, most: int, *, convex: bool) -> Lists:
    lists = []
    for _ in range(count):
        length = int(draw.integers(1, most + 1))
        sizes = np.sort(draw.choice(np.arange(1, 2000), length, replace=False)).astype(np.int64)
        if convex:  # as layers are: damage falls with the logarithm of the size
            damages = np.exp(-sizes / draw.uniform(100, 800)) * draw.uniform(0.1, 3)
        else:
            damages = np.sort(draw.choice(np.arange(1, 10_000), length, replace=False))[::-1] / 1e4
        lists.append((sizes, damages))
    return lists


@pytest.mark.parametrize("convex", [True, False])
@pytest.mark.parametrize("seed", range(20))
def test_it_is_never_one_percent_worse_than_the_exact_solution(seed: int, convex: bool) -> None:
    draw = np.random.default_rng(seed)
    lists = lists_of(draw, int(draw.integers(2, 9)), 12, convex=convex)
    knapsack = Knapsack(lists)
    for share in (0.0, 0.05, 0.3, 0.6, 0.95):
        budget = round(knapsack.smallest + share * (knapsack.largest - knapsack.smallest))
        found = knapsack.choose(budget)
        exact = least_damage(lists, budget)
        assert found.size <= budget
        assert found.bound - 1e-9 <= exact <= found.damage + 1e-9
        assert found.damage <= 1.01 * exact + 1e-12


@given(
    data=st.lists(
        st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50)), min_size=1, max_size=6),
        min_size=1,
        max_size=5,
    ),
    share=st.floats(0, 1),
)
@settings(max_examples=60)
def test_the_steepest_lists_are_solved_too(data: list[list[tuple[int, int]]], share: float) -> None:
    lists: Lists = []
    for pairs in data:
        sizes = np.array(sorted({size for size, _ in pairs}), dtype=np.int64)
        damages = np.array(sorted({damage for _, damage in pairs}, reverse=True), dtype=float)
        length = min(len(sizes), len(damages))
        lists.append((sizes[:length], damages[:length]))
    knapsack = Knapsack(lists)
    budget = round(knapsack.smallest + share * (knapsack.largest - knapsack.smallest))
    assert knapsack.choose(budget).damage <= 1.01 * least_damage(lists, budget)


def test_sums_are_those_of_the_picks() -> None:
    lists = lists_of(np.random.default_rng(3), 6, 10, convex=True)
    knapsack = Knapsack(lists)
    found = knapsack.choose((knapsack.smallest + knapsack.largest) // 2)
    picked = [(s[i], d[i]) for (s, d), i in zip(lists, found.picks, strict=True)]
    assert found.size == sum(size for size, _ in picked)
    assert found.damage == pytest.approx(sum(damage for _, damage in picked))


def test_the_ends_are_the_smallest_and_the_best() -> None:
    lists = lists_of(np.random.default_rng(4), 5, 8, convex=False)
    knapsack = Knapsack(lists)
    assert knapsack.choose(knapsack.smallest).picks == (0,) * 5
    best = knapsack.choose(10 * knapsack.largest)
    assert best.picks == tuple(len(sizes) - 1 for sizes, _ in lists)
    assert best.damage == pytest.approx(best.bound)


def test_a_larger_budget_is_never_worse() -> None:
    knapsack = Knapsack(lists_of(np.random.default_rng(5), 30, 40, convex=True))
    budgets = np.geomspace(knapsack.smallest, knapsack.largest, 50).astype(int)
    damages = [knapsack.choose(int(b)).damage for b in budgets]
    assert all(b <= 1.001 * a for a, b in pairwise(damages))
