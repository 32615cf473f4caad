from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from mlgsearch.errors import StudyFileError
from mlgsearch.mlg.network import NetworkShape, network_sizes
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.mlg.uniform import uniform_settings
from mlgsearch.records import FiveNumbers
from mlgsearch.study.space.space import Space
from mlgsearch.train.spec import TrainSpec
from tests.study.samples import MIXED, a_spec, resnet8

KINDS = ("uniform", "layerwise")
PAPERS: list[FiveNumbers] = [(2, 44, 3, 6, 3), (2, 44, 8, 8, 8), (1, 8, 3, 6, 3), (1, 25, 4, 6, 6)]
SHAPES = {"mixed": MIXED, "resnet8": resnet8()}


def a_space(shape: NetworkShape = MIXED, *, search: Any = None, **space: Any) -> Space:
    return Space(a_spec(space=space, search=search or {}), shape)


def values_of(distribution: BaseDistribution) -> st.SearchStrategy[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return st.sampled_from(distribution.choices)
    if isinstance(distribution, IntDistribution):
        return st.integers(distribution.low, distribution.high)
    assert isinstance(distribution, FloatDistribution)
    return st.floats(distribution.low, distribution.high)


def refusal(shape: NetworkShape = MIXED, **content: Any) -> str:
    with pytest.raises(StudyFileError) as caught:
        Space(a_spec(**content), shape)
    return str(caught.value)


def test_the_uniform_space_has_the_papers_five_numbers() -> None:
    space = a_space(kind="uniform", B_in=[1, 4], B_out=[2, 50], q_basis=[3, 8])
    assert space.distributions == {
        "B_in": IntDistribution(1, 4),
        "B_out": IntDistribution(2, 50, log=True),
        "q_basis": IntDistribution(3, 8),
        "q_coeff_in": IntDistribution(2, 8),
        "q_coeff_out": IntDistribution(2, 8),
    }


def test_the_layerwise_space_has_only_numbers_that_can_mean_something() -> None:
    assert a_space(kind="layerwise", head_bits="search").distributions == {
        # One input channel: no level 1. Nine weights a row: at 9 the level is absent.
        "stem/B_out": IntDistribution(1, 9, log=True),
        "stem/q_basis": IntDistribution(2, 8),
        "stem/q_coeff_out": IntDistribution(2, 8),
        "wide/B_in": IntDistribution(1, 8),
        "wide/B_out": IntDistribution(1, 64, log=True),
        "wide/q_basis": IntDistribution(2, 8),
        "wide/q_coeff_in": IntDistribution(2, 8),
        "wide/q_coeff_out": IntDistribution(2, 8),
        "point/B_out": IntDistribution(1, 40, log=True),
        "point/q_basis": IntDistribution(2, 8),
        "point/q_coeff_out": IntDistribution(2, 8),
        "depth/q_basis": IntDistribution(2, 8),
        "head/B_out": IntDistribution(1, 10, log=True),
        "head/q_basis": IntDistribution(2, 8),
        "head/q_coeff_out": IntDistribution(2, 8),
    }


def test_a_range_above_a_layers_limit_leaves_the_level_absent() -> None:
    space = a_space(B_in=[20, 30], B_out=[100, 200])
    assert space.distributions["wide/B_in"] == IntDistribution(9, 9)
    lowest = {name: d.low for name, d in space.distributions.items()}  # type: ignore[attr-defined]
    assert all(setting.is_plain for setting in space.decode(lowest).settings.values())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("five", PAPERS)
def test_a_first_trial_means_the_papers_uniform_setting(
    kind: str, five: FiveNumbers, shape: str
) -> None:
    network = SHAPES[shape]
    space = a_space(network, kind=kind, search={"first": [five]})
    settings = space.decode(space.first[0]).settings
    assert settings == uniform_settings(network, five)
    assert network_sizes(network, settings) == network_sizes(
        network, uniform_settings(network, five)
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
@given(data=st.data())
def test_every_point_means_canonical_settings_of_every_layer(
    kind: str, shape: str, data: st.DataObject
) -> None:
    network = SHAPES[shape]
    space = a_space(
        network, kind=kind, head_bits=None if kind == "uniform" else "search", B_out=[1, 80]
    )
    point = {name: data.draw(values_of(d), label=name) for name, d in space.distributions.items()}
    proposal = space.decode(point)
    assert list(proposal.settings) == list(network.layers)
    for name, setting in proposal.settings.items():
        assert setting == setting.canonical(network.layers[name])
    network_sizes(network, proposal.settings)


@given(data=st.data())
def test_every_canonical_setting_in_range_has_coordinates(data: st.DataObject) -> None:
    layers = {
        name: LayerSetting(
            data.draw(st.sampled_from([0, 1, 3, 8])),
            data.draw(st.sampled_from([0, 1, 5, 9, 40])),
            *(data.draw(st.integers(2, 8)) for _ in range(3)),
        ).canonical(shape)
        for name, shape in MIXED.layers.items()
        if shape.kind == "conv"
    }
    # At 9 bases the wide layer's level 1 is absent.
    first = {"setting": [1, 1, 8, 8, 8], "layers": {n: list(s.five) for n, s in layers.items()}}
    space = a_space(B_in=[1, 9], search={"first": [first]})
    settings = space.decode(space.first[0]).settings
    assert {name: settings[name] for name in layers} == layers


def test_kept_layers_are_at_full_precision_in_both_kinds() -> None:
    for kind in KINDS:
        space = a_space(kind=kind, full_precision=["st*", "depth"])
        assert not [name for name in space.distributions if name.startswith(("stem", "depth"))]
        point = {n: d.low for n, d in space.distributions.items()}  # type: ignore[attr-defined]
        settings = space.decode(point).settings
        assert settings["stem"] == settings["depth"] == LayerSetting.plain(32)
        assert settings["wide"] != LayerSetting.plain(32)


def test_a_pattern_that_matches_nothing_is_refused_with_the_layers() -> None:
    said = refusal(space={"full_precision": ["stem", "layer9.*"]})
    assert said == (
        "space.full_precision: 'layer9.*' matches no layer; "
        "the layers are stem, wide, point, depth, head"
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("head_bits", "bits"), [(None, 8), (4, 4), (32, 32)])
def test_the_head_has_the_bits_it_is_given(kind: str, head_bits: int | None, bits: int) -> None:
    space = a_space(kind=kind, head_bits=head_bits)
    assert not [name for name in space.distributions if name.startswith("head")]
    point = {name: d.low for name, d in space.distributions.items()}  # type: ignore[attr-defined]
    assert space.decode(point).settings["head"] == LayerSetting.plain(bits)


def test_a_searched_head_decodes_from_its_own_numbers() -> None:
    space = a_space(head_bits="search")
    point = {name: d.low for name, d in space.distributions.items()}  # type: ignore[attr-defined]
    point |= {"head/B_out": 4, "head/q_basis": 3, "head/q_coeff_out": 5}
    assert space.decode(point).settings["head"].five == (0, 4, 3, 0, 5)


HYPERPARAMETERS = {
    "training.learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
    "training.batch_size": {"low": 16, "high": 64},
    "training.optimiser": {"choices": ["radam", "sgd"]},
    "distillation.weight": {"low": 0.0, "high": 1.0},
    "quantisation.orthonormality": {"choices": [0, 1e-3]},
}


@pytest.mark.parametrize("given", [{"low": 16, "high": 32}, {"choices": [32, 8]}])
def test_norm_bits_are_16_or_32(given: dict[str, Any]) -> None:
    wrong = {"quantisation.norm_bits": given}
    with pytest.raises(StudyFileError, match=r"quantisation\.norm_bits.*(choices|16 or 32)"):
        a_spec(space={"hyperparameters": wrong})


def test_norm_bits_may_be_searched() -> None:
    space = a_space(hyperparameters={"quantisation.norm_bits": {"choices": [16, 32]}})
    point = {n: d.high for n, d in space.distributions.items() if isinstance(d, IntDistribution)}
    proposal = space.decode(point | {"quantisation.norm_bits": 16})
    assert proposal.train_spec(TrainSpec()).quantisation.norm_bits == 16


def test_hyperparameters_join_the_space() -> None:
    distributions = a_space(hyperparameters=HYPERPARAMETERS).distributions
    assert distributions["training.learning_rate"] == FloatDistribution(1e-4, 1e-1, log=True)
    assert distributions["training.batch_size"] == IntDistribution(16, 64)
    assert distributions["training.optimiser"] == CategoricalDistribution(("radam", "sgd"))


@given(data=st.data())
def test_every_point_gives_a_training(data: st.DataObject) -> None:
    spec = a_spec(
        space={"kind": "uniform", "hyperparameters": HYPERPARAMETERS}, training={"epochs": 3}
    )
    space = Space(spec, MIXED)
    point = {name: data.draw(values_of(d), label=name) for name, d in space.distributions.items()}
    proposal = space.decode(point)
    train = proposal.train_spec(spec.train_spec())
    assert type(train) is TrainSpec
    assert train.training.learning_rate == point["training.learning_rate"]
    assert train.training.batch_size == point["training.batch_size"]
    assert train.training.optimiser == point["training.optimiser"]
    assert train.distillation.weight == point["distillation.weight"]
    # What is not searched stays the study's.
    assert (train.training.epochs, train.distillation.temperature) == (3, 4.0)
    assert proposal.hyperparameters == {name: point[name] for name in HYPERPARAMETERS}


@pytest.mark.parametrize(
    ("kind", "first", "line"),
    [
        ("uniform", [9, 44, 3, 6, 3], "search.first[0]: B_in = 9 lies outside the space: 1 to 8"),
        ("uniform", [2, 65, 3, 6, 3], "search.first[0]: B_out = 65 lies outside the space: 1 to"),
        ("layerwise", [2, 44, 1, 6, 3], "search.first[0]: stem/q_basis = 1 lies outside the space"),
        ("layerwise", [2, 44, 32, 32, 32], "search.first[0]: stem/q_basis = 32 lies outside"),
        (
            "layerwise",
            {"setting": [2, 44, 3, 6, 3], "layers": {"wide": [2, 44, 3, 6, 1]}},
            "search.first[0]: wide/q_coeff_out = 1 lies outside the space: 2 to 8",
        ),
        (
            "layerwise",
            {"setting": [2, 44, 3, 6, 3], "layers": {"weid": [2, 44, 3, 6, 3]}},
            "search.first[0].layers.weid: is not searched; searched are stem, wide, point, depth",
        ),
        (
            "layerwise",
            {"setting": [2, 44, 3, 6, 3], "layers": {"head": [0, 0, 3, 0, 0]}},
            "search.first[0].layers.head: is not searched",
        ),
        (
            "uniform",
            {"setting": [2, 44, 3, 6, 3], "layers": {"wide": [2, 44, 3, 6, 3]}},
            "search.first[0].layers: needs space.kind: layerwise",
        ),
        (
            "uniform",
            {"setting": [2, 44, 3, 6, 3], "hyperparameters": {"training.weight_decay": 0}},
            "search.first[0].hyperparameters.training.weight_decay: is not searched; list it",
        ),
        (
            "uniform",
            {"setting": [2, 44, 3, 6, 3], "hyperparameters": {"training.optimiser": "adamw"}},
            "search.first[0]: training.optimiser = adamw lies outside the space: one of ['radam',",
        ),
        (
            "uniform",
            {"setting": [2, 44, 3, 6, 3], "hyperparameters": {"training.learning_rate": 1}},
            "search.first[0]: training.learning_rate = 1 lies outside the space: 0.0001 to 0.1",
        ),
        (
            "uniform",
            {"setting": [2, 44, 3, 6, 3], "hyperparameters": {"training.learning_rate": "fast"}},
            "search.first[0]: training.learning_rate = fast lies outside the space",
        ),
        (
            "uniform",
            {"setting": [2, 44, 3, 6, 3], "hyperparameters": {"training.batch_size": 20.5}},
            "search.first[0]: training.batch_size = 20.5 lies outside the space: 16 to 64",
        ),
    ],
)
def test_a_first_trial_outside_the_space_is_refused_with_its_key(
    kind: str, first: Any, line: str
) -> None:
    content: Any = {
        "space": {
            "kind": kind,
            "hyperparameters": {
                name: HYPERPARAMETERS[name]
                for name in ("training.learning_rate", "training.batch_size", "training.optimiser")
            },
        },
        "search": {"first": [first]},
    }
    assert refusal(**content).startswith(line)


def test_a_first_trial_may_ask_for_more_bases_than_a_layer_can_have() -> None:
    stem = NetworkShape({"stem": MIXED.layers["stem"]})
    space = a_space(stem, search={"first": [[9, 90, 3, 6, 3]]})
    assert space.first == [{"stem/B_out": 9, "stem/q_basis": 3, "stem/q_coeff_out": 3}]
    assert space.decode(space.first[0]).settings == {"stem": LayerSetting.plain(3)}


def test_a_first_trial_may_replace_single_layers() -> None:
    first = {"setting": [2, 44, 3, 6, 3], "layers": {"wide": [0, 16, 4, 0, 5]}}
    space = a_space(B_in=[1, 9], search={"first": [first]})
    settings = space.decode(space.first[0]).settings
    uniform = uniform_settings(MIXED, (2, 44, 3, 6, 3))
    assert settings == uniform | {"wide": LayerSetting(0, 16, 4, 0, 5)}
