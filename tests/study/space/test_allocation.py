"""What the planned kinds of space mean, on the tables of a small trained network."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, FloatDistribution

from mlgsearch.errors import StudyFileError
from mlgsearch.mlg.network import network_sizes
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.mlg.uniform import uniform_settings
from mlgsearch.planning.budget.allocation import HOPELESS, UNHARMED, Allocator
from mlgsearch.planning.network_tables import Tables
from mlgsearch.study.file.spec import StudySpec
from mlgsearch.study.space.allocation import MOST_GAIN
from mlgsearch.study.space.packed_sizes import PackedSizes
from mlgsearch.study.space.space import Space
from tests.planning import samples
from tests.study.samples import a_spec

RANGES = {name: list(getattr(samples.RANGES, key)) for name, key in (
    ("B_in", "base_in"), ("B_out", "base_out"), ("q_basis", "q_basis"),
    ("q_coeff_in", "q_coeff_in"), ("q_coeff_out", "q_coeff_out"),
)}  # fmt: skip
NORM_BITS = {"quantisation.norm_bits": {"choices": [16, 32]}}


def planned_spec(*, search: Any = None, **space: Any) -> StudySpec:
    return a_spec(
        space={"kind": "allocation", **RANGES, **space},
        search=search or {},
        quantisation={"norm_bits": 32},
    )


def a_space(*, search: Any = None, tables: Tables | None = None, **space: Any) -> Space:
    spec = planned_spec(search=search, **space)
    return Space(spec, samples.shape(), tables or samples.tables())


def bounds(distribution: BaseDistribution) -> tuple[float, float]:
    assert isinstance(distribution, FloatDistribution)
    return distribution.low, distribution.high


def test_it_has_a_budget_and_a_gain_a_layer() -> None:
    space = a_space()
    budget = space.distributions["budget_kb"]
    assert isinstance(budget, FloatDistribution)
    assert budget.log
    assert budget.low == Allocator(samples.tables()).smallest / 8000
    gains = {name: d for name, d in space.distributions.items() if name != "budget_kb"}
    assert list(gains) == [f"{layer}/gain" for layer in samples.shape().layers]
    assert set(map(bounds, gains.values())) == {(-MOST_GAIN, MOST_GAIN)}


@given(data=st.data())
@settings(max_examples=25)
def test_every_point_keeps_its_budget_in_canonical_settings(data: st.DataObject) -> None:
    space = a_space(hyperparameters=NORM_BITS)
    point = {n: data.draw(st.floats(*bounds(d)), label=n) for n, d in space.distributions.items()}
    proposal = space.decode(point)
    norm_bits = proposal.hyperparameters["quantisation.norm_bits"]
    assert norm_bits in (16, 32)
    sizes = network_sizes(samples.shape(), proposal.settings, 16 if norm_bits == 16 else 32)
    assert sizes.bits <= 8000 * point["budget_kb"] + 1
    for name, setting in proposal.settings.items():
        assert setting == setting.canonical(space.layers[name])
    assert proposal == space.decode(dict(point))


def test_the_first_trials_are_the_planned_front() -> None:
    space = a_space()
    assert len(space.first) == 8
    in_order = [first["budget_kb"] for first in space.first]
    budgets = sorted(in_order)
    # Spread from the beginning: the middle, the quarters, what lies between, the ends.
    assert [budgets.index(budget) for budget in in_order] == [4, 2, 6, 1, 3, 5, 7, 0]
    assert all(v == 0 for first in space.first for n, v in first.items() if n != "budget_kb")
    low, high = bounds(space.distributions["budget_kb"])
    assert low < budgets[0] < 0.5 * high  # the smallest network is hopeless
    assert budgets[-1] > 0.9 * high
    for first in space.first:
        bits = network_sizes(samples.shape(), space.decode(first).settings).bits
        assert bits == round(8000 * first["budget_kb"])


def test_settings_that_are_asked_for_come_first_and_are_meant_exactly() -> None:
    paper = [2, 12, 3, 6, 3]  # six bits are out of range, and no plan would do this
    own = {"setting": [1, 4, 2, 2, 2], "layers": {"fc": [0, 0, 8, 0, 0]}}
    space = a_space(search={"first": [paper, own, paper], "planned": 2})
    assert len(space.first) == 5
    shape = samples.shape()
    assert space.decode(space.first[0]).settings == uniform_settings(shape, (2, 12, 3, 6, 3))
    expected = uniform_settings(shape, (1, 4, 2, 2, 2)) | {"fc": LayerSetting.plain(8)}
    assert space.decode(space.first[1]).settings == expected
    # The same setting twice has two places, as Optuna may enqueue it twice.
    assert space.decode(space.first[2]) == space.decode(space.first[0])
    again = a_space(search={"first": [paper, own, paper], "planned": 2})
    assert again.first == space.first


def test_a_plan_near_a_given_setting_is_like_it() -> None:
    allocator = Allocator(samples.tables())
    gains = dict.fromkeys(samples.shape().layers, 0.0) | {"layer2.0.conv2": 1.5, "fc": -1.5}
    target = allocator.allocate(3 * allocator.smallest, gains)
    first = {
        "setting": [0, 0, 4, 0, 0],
        "layers": {name: list(setting.five) for name, setting in target.settings.items()},
    }
    point = a_space(search={"first": [first], "planned": 0}).first[0]
    near = a_space(search={"planned": 0}).decode(point).settings
    layers = samples.shape().layers

    def distance(found: dict[str, LayerSetting]) -> int:
        return sum(
            abs(s.bits(layers[n]) - target.settings[n].bits(layers[n])) for n, s in found.items()
        )

    assert distance(near) < 0.5 * distance(allocator.allocate(target.bits).settings)


def test_normalisation_is_part_of_the_budget_where_it_may_be() -> None:
    first = {"setting": [1, 4, 2, 2, 2], "hyperparameters": {"quantisation.norm_bits": 32}}
    space = a_space(hyperparameters=NORM_BITS, search={"first": [first], "planned": 1})
    assert "quantisation.norm_bits" not in space.distributions
    given, planned = map(space.decode, space.first)
    assert given.hyperparameters == {"quantisation.norm_bits": 32}
    assert planned.hyperparameters == {"quantisation.norm_bits": 16}
    assert planned.train_spec(planned_spec().train_spec()).quantisation.norm_bits == 16


def test_a_budget_may_be_given() -> None:
    smallest = Allocator(samples.tables()).smallest / 8000
    space = a_space(budget_kb=[smallest / 2, 3 * smallest])
    assert bounds(space.distributions["budget_kb"]) == (smallest, 3 * smallest)
    with pytest.raises(StudyFileError, match=r"^space\.budget_kb: a budget of .* cannot be met"):
        a_space(budget_kb=[smallest / 4, smallest / 2])


def test_layers_that_cannot_choose_have_no_gain() -> None:
    fixed = {"fc": LayerSetting.plain(8), "conv1": LayerSetting.plain(32)}
    space = a_space(
        full_precision=["conv1"], head_bits=8, tables=samples.a_build(fixed=fixed), search={}
    )
    assert "fc/gain" not in space.distributions
    assert "conv1/gain" not in space.distributions
    settings = space.decode(space.first[0]).settings
    assert {name: settings[name] for name in fixed} == fixed


def test_a_layer_that_is_not_searched_has_no_setting_of_its_own() -> None:
    first = {"setting": [1, 4, 2, 2, 2], "layers": {"fd": [0, 0, 2, 0, 0]}}
    with pytest.raises(StudyFileError, match=r"search\.first\[0\]\.layers\.fd: is not searched"):
        a_space(search={"first": [first]})


def test_a_plan_may_come_first_in_a_layerwise_space() -> None:
    ranges = replace(samples.RANGES, levels_stay=True)
    tables = samples.a_build(ranges, fixed={"fc": LayerSetting.plain(8)})
    space = a_space(
        kind="layerwise", tables=tables, search={"planned": 3, "first": [[1, 4, 2, 2, 2]]}
    )
    assert len(space.first) == 4
    allocator = Allocator(tables)
    front = allocator.front(3, (allocator.bits_at(HOPELESS), allocator.bits_at(UNHARMED)))
    assert [space.decode(first).settings for first in space.first[1:]] == [
        front[i].settings for i in (1, 0, 2)
    ]


def test_tables_are_needed_only_for_a_plan() -> None:
    layerwise = Space(a_spec(space={"kind": "layerwise"}), samples.shape())
    assert layerwise.first == []


def limited(limits: dict[str, float], **space: Any) -> Space:
    spec = a_spec(
        space={"kind": "allocation", **RANGES, **space},
        limits=limits,
        model={"name": "resnet8", "width": 8},
        quantisation={"norm_bits": 32},
    )
    return Space(spec, samples.shape(), samples.tables(), PackedSizes(spec, 10, (1, 8, 8)))


@given(data=st.data())
@settings(max_examples=15)
def test_every_point_that_is_allowed_keeps_the_limits(data: st.DataObject) -> None:
    free = Allocator(samples.tables())
    middle = network_sizes(samples.shape(), free.allocate(3 * free.smallest).settings)
    limits = {
        "packed_bytes": 2.2 * free.smallest / 8,
        "execution_macs": 0.9 * middle.execution_macs,
    }
    space = limited(limits, hyperparameters=NORM_BITS)
    point = {n: data.draw(st.floats(*bounds(d)), label=n) for n, d in space.distributions.items()}
    found = space.allowed(point)
    assert found is not None
    assert {n: v for n, v in found.items() if n != "budget_kb"} == {
        n: v for n, v in point.items() if n != "budget_kb"
    }
    assert found["budget_kb"] <= point["budget_kb"]
    proposal = space.decode(found)
    train = proposal.train_spec(planned_spec().train_spec())
    norm_bits = train.quantisation.norm_bits
    sizes = network_sizes(samples.shape(), proposal.settings, norm_bits)
    assert sizes.execution_macs <= limits["execution_macs"]
    packed = PackedSizes(a_spec(model={"name": "resnet8", "width": 8}), 10, (1, 8, 8))
    assert packed.bytes_of(proposal.settings, train.quantisation) <= limits["packed_bytes"]


def test_limits_end_the_range_of_budgets_and_the_planned_front() -> None:
    free, ratio = a_space(), 0.06
    tight = limited({"memory_ratio": ratio})
    low, high = bounds(tight.distributions["budget_kb"])
    full_kb = samples.shape().full_parameters * 4 / 1000
    assert low == bounds(free.distributions["budget_kb"])[0]
    assert 0.98 * ratio * full_kb < high <= ratio * full_kb
    assert len(tight.first) == 8
    for parameters in tight.first:
        sizes = network_sizes(samples.shape(), tight.decode(parameters).settings)
        assert sizes.memory_ratio <= ratio


def test_a_first_trial_that_breaks_a_limit_is_refused() -> None:
    spec = a_spec(
        space={"kind": "allocation", **RANGES},
        limits={"memory_ratio": 0.06},
        search={"first": [[2, 8, 4, 4, 4], [0, 0, 8, 0, 0]]},
    )
    with pytest.raises(StudyFileError, match=r"search.first\[1\]: memory_ratio is .*, above"):
        Space(spec, samples.shape(), samples.tables())
