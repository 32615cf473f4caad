from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp

from mlgsearch.errors import BudgetError
from mlgsearch.mlg.network import network_sizes
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.planning.budget.allocation import UNHARMED, Allocator
from mlgsearch.planning.budget.resources import SUMS, resources_of
from mlgsearch.planning.weighting import MEASURED, WEIGHTINGS
from tests.planning.samples import measured_tables, shape, tables

_MACS = "execution_macs"


def test_a_budget_is_kept_and_bits_are_exact() -> None:
    allocator = Allocator(tables())
    for budget in np.geomspace(allocator.smallest, allocator.largest, 9).astype(int):
        found = allocator.allocate(max(int(budget), allocator.smallest))
        sizes = network_sizes(shape(), found.settings, found.norm_bits)
        assert found.bits == sizes.bits <= max(budget, allocator.smallest)
        assert all(s == s.canonical(shape().layers[n]) for n, s in found.settings.items())


def test_damage_falls_along_the_front() -> None:
    front = Allocator(tables()).front(8)
    assert len(front) == 8
    bits, damages = [a.bits for a in front], [a.damage for a in front]
    assert bits == sorted(bits)
    assert damages == sorted(damages, reverse=True)
    assert front[0].bits == Allocator(tables()).smallest
    ratios = np.diff(np.log(bits))
    assert ratios.max() < 1.3 * ratios.min()  # evenly spread by ratio


def test_the_front_ends_where_damage_is_negligible() -> None:
    allocator = Allocator(tables())
    low, high = allocator.useful_span()
    least = max(UNHARMED, 1.001 * allocator.allocate(allocator.largest).damage)
    assert low == allocator.smallest
    assert allocator.allocate(high).damage <= least < allocator.allocate(high * 97 // 100).damage


def test_the_bits_at_a_damage_are_about_the_least() -> None:
    allocator = Allocator(tables())
    bits = allocator.bits_at(0.3)
    assert allocator.allocate(bits).damage <= 0.3 < allocator.allocate(bits * 97 // 100).damage
    assert allocator.bits_at(2.0) == allocator.smallest
    assert allocator.allocate(allocator.bits_at(0.0)).damage < 0.05


def test_each_layers_damage_adds_up() -> None:
    found = Allocator(tables()).allocate(3 * Allocator(tables()).smallest)
    damages = Allocator(tables()).layer_damage(found.settings)
    assert sum(damages.values()) / len(damages) == pytest.approx(found.damage)


def test_a_front_may_be_told_its_span() -> None:
    allocator = Allocator(tables())
    low, high = 2 * allocator.smallest, 3 * allocator.smallest
    assert all(0.9 * low < a.bits <= high for a in allocator.front(5, (low, high)))
    assert allocator.front(3, (1, allocator.smallest))[0].bits == allocator.smallest
    with pytest.raises(BudgetError):
        allocator.front(3, (1, allocator.smallest - 1))


def test_a_gain_gives_a_layer_more() -> None:
    allocator = Allocator(tables())
    budget = 3 * allocator.smallest
    layer = tables().shape.layers["layer2.0.conv2"]
    bits = [
        allocator.allocate(budget, {"layer2.0.conv2": gain}).settings["layer2.0.conv2"].bits(layer)
        for gain in (-2.0, 0.0, 2.0)
    ]
    assert bits[0] < bits[1] < bits[2]


@given(data=st.data())
@settings(max_examples=25)
def test_any_gains_keep_the_budget_and_repeat_themselves(data: st.DataObject) -> None:
    gains = {name: data.draw(st.floats(-2, 2), label=name) for name in tables().layers}
    allocator = Allocator(tables())
    budget = data.draw(st.integers(allocator.smallest, allocator.largest))
    found = allocator.allocate(budget, gains)
    assert found.bits <= budget
    assert found == allocator.allocate(budget, dict(gains))


@pytest.mark.parametrize("weighting", [*WEIGHTINGS, MEASURED])
def test_every_weighting_allocates(weighting: str) -> None:
    allocator = Allocator(measured_tables(), weighting=weighting)
    assert allocator.allocate(2 * allocator.smallest).bits <= 2 * allocator.smallest


def test_normalisation_is_chosen_like_a_layer() -> None:
    both, full = Allocator(tables(), norm_bits=(32, 16)), Allocator(tables())
    saved = 16 * shape().half_norm_parameters
    assert both.smallest == full.smallest - saved
    assert both.allocate(2 * full.smallest).norm_bits == 16
    assert both.allocate(full.smallest).damage < full.allocate(full.smallest).damage
    assert both.allocate(10 * both.largest).norm_bits == 32


def test_a_budget_too_small_names_what_binds() -> None:
    allocator = Allocator(tables())
    with pytest.raises(BudgetError) as caught:
        allocator.allocate(800)
    norms = 32 * shape().norm_parameters / 8000
    assert str(caught.value).startswith(
        f"a budget of 0.1 KB cannot be met: the smallest network in range has "
        f"{allocator.smallest / 8000:.3g} KB; the layers that bind, at their smallest: "
        f"normalisation {norms:.3g} KB, "
    )


def used(settings: Mapping[str, LayerSetting], name: str) -> float:
    return float(getattr(network_sizes(shape(), settings), name))


@pytest.mark.parametrize("name", SUMS)
def test_a_limit_is_kept_and_close_to_the_best(name: str) -> None:
    free = Allocator(tables())
    budget = 4 * free.smallest
    without = free.allocate(budget)
    least = min(used(free.allocate(bits).settings, name) for bits in (free.smallest, budget))
    limit = 0.5 * (least + used(without.settings, name))
    limited = Allocator(tables(), limits={name: limit})
    found = limited.allocate(budget)
    assert found.bits <= budget
    assert used(found.settings, name) <= limit < used(without.settings, name)
    assert without.damage < found.damage <= 1.03 * best_damage(budget, {name: limit})


def test_two_limits_are_kept_at_once() -> None:
    free = Allocator(tables())
    budget = 4 * free.smallest
    without = free.allocate(budget).settings
    least = free.allocate(free.smallest).settings
    limits = {
        name: 0.5 * (used(least, name) + used(without, name))
        for name in ("execution_macs", "parameter_ratio")
    }
    found = Allocator(tables(), limits=limits).allocate(budget)
    assert all(used(found.settings, name) <= limit for name, limit in limits.items())
    assert found.damage <= 1.03 * best_damage(budget, limits)


def test_three_limits_are_kept_at_once() -> None:
    free = Allocator(tables())
    budget = 4 * free.smallest
    without = free.allocate(budget).settings
    least = free.allocate(free.smallest).settings
    limits = {name: 0.4 * used(least, name) + 0.6 * used(without, name) for name in SUMS}
    assert len(limits) == 3
    found = Allocator(tables(), limits=limits).allocate(budget)
    assert found.bits <= budget
    assert all(used(found.settings, name) <= limit for name, limit in limits.items())
    best = best_damage(budget, limits)
    assert best * (1 - 1e-6) <= found.damage <= 1.03 * best


@pytest.mark.parametrize("seed", range(6))
def test_two_or_three_drawn_limits_are_kept_close_to_the_best(seed: int) -> None:
    draw = np.random.default_rng(seed)
    free = Allocator(tables())
    budget = int(free.smallest * draw.uniform(3, 6))
    least, without = (free.allocate(bits).settings for bits in (free.smallest, budget))
    limits = {}
    for name in draw.permutation(SUMS)[: 2 + seed % 2].tolist():
        low, high = sorted((used(least, name), used(without, name)))
        limits[name] = low + float(draw.uniform(0.4, 1)) * (high - low)
    found = Allocator(tables(), limits=limits).allocate(budget)
    assert found.bits <= budget
    assert all(used(found.settings, name) <= limit for name, limit in limits.items())
    best = best_damage(budget, limits)
    assert best * (1 - 1e-6) <= found.damage <= 1.03 * best


def best_damage(budget: int, limits: Mapping[str, float]) -> float:
    """Solve the same choice by HiGHS, as an integer program."""
    lists = tables().layers
    resources = resources_of(tables(), limits)
    costs = np.concatenate([table.damage for table in lists.values()])
    owner = np.repeat(np.arange(len(lists)), [len(table) for table in lists.values()])
    one_each = np.array([owner == i for i in range(len(lists))], dtype=float)
    fixed = network_sizes(shape(), {n: t.setting(0) for n, t in lists.items()}).bits - sum(
        int(table.bits[0]) for table in lists.values()
    )
    bits = np.concatenate([table.bits for table in lists.values()]).astype(float)
    rows, most = [bits], [float(budget - fixed)]
    for resource in resources:
        rows.append(np.concatenate([resource.uses[name] for name in lists]))
        most.append(resource.most)
    solved = milp(
        costs,
        integrality=np.ones(len(costs)),
        bounds=Bounds(0, 1),
        constraints=[
            LinearConstraint(one_each, 1, 1),
            *(LinearConstraint(row / m, -np.inf, 1) for row, m in zip(rows, most, strict=True)),
        ],
    )
    assert solved.success, solved.message
    return float(solved.fun) / len(lists)


def test_an_impossible_limit_says_what_is_possible_and_what_binds() -> None:
    with pytest.raises(BudgetError) as raised:
        Allocator(tables(), limits={"execution_macs": 100})
    said = str(raised.value)
    assert said.startswith("execution_macs cannot be 100: the smallest network in range has ")
    assert "the layers that bind, at their smallest: layer" in said
    with pytest.raises(BudgetError, match=r"a budget of .* cannot be met: the smallest network"):
        Allocator(tables(), limits={"memory_ratio": 1e-4})


def test_a_limit_of_memory_ends_the_front() -> None:
    allocator = Allocator(tables(), limits={"memory_ratio": 0.05})
    front = allocator.front(5)
    full = 32 * shape().full_parameters
    assert 0.045 < front[-1].bits / full <= 0.05


@given(data=st.data())
@settings(max_examples=10)
def test_any_gains_keep_the_limits(data: st.DataObject) -> None:
    gains = {name: data.draw(st.floats(-2, 2), label=name) for name in tables().layers}
    limit = used(Allocator(tables()).allocate(2 * Allocator(tables()).smallest).settings, _MACS)
    allocator = Allocator(tables(), limits={_MACS: limit})
    budget = data.draw(st.integers(allocator.smallest, allocator.largest))
    found = allocator.allocate(budget, gains)
    assert found.bits <= budget
    assert used(found.settings, _MACS) <= limit
