from typing import Any

from optuna.distributions import IntDistribution
from optuna.trial import FrozenTrial, create_trial

from mlgsearch.mlg.network import network_sizes
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.planning.budget.allocation import Allocator
from mlgsearch.records import TrialState
from mlgsearch.study.search.new_trial import NewTrials
from mlgsearch.study.space.space import Space
from tests.planning import samples
from tests.study.samples import a_spec, resnet8
from tests.study.space.test_allocation import planned_spec

SHAPE = resnet8()


def new_trials(**content: Any) -> NewTrials:
    spec = a_spec(**content)
    return NewTrials(spec, Space(spec, SHAPE), SHAPE, "teacher", {})


def a_proposal(of: NewTrials, **values: Any) -> FrozenTrial:
    wanted = {
        name: values.get(name, d.high if isinstance(d, IntDistribution) else None)
        for name, d in of.space.distributions.items()
    }
    return create_trial(params=wanted, distributions=of.space.distributions, values=[0, 0])


def test_batch_norm_is_counted_at_the_trials_own_bits() -> None:
    plain = new_trials()
    settings = plain.space.decode(a_proposal(plain).params).settings
    full, half = (network_sizes(SHAPE, settings, norm_bits=bits) for bits in (32, 16))
    assert half.memory_ratio < full.memory_ratio
    assert plain.record(a_proposal(plain)).sizes == full
    fixed = new_trials(quantisation={"norm_bits": 16})
    assert fixed.record(a_proposal(fixed)).sizes == half
    name = "quantisation.norm_bits"
    searched = new_trials(space={"hyperparameters": {name: {"choices": [16, 32]}}})
    for bits, sizes in ((16, half), (32, full)):
        assert searched.record(a_proposal(searched, **{name: bits})).sizes == sizes


def test_a_foreign_trial_has_failed() -> None:
    of = new_trials(quantisation={"norm_bits": 16})
    record = of.record(create_trial(values=[0, 0]))
    assert record.state == TrialState.FAIL
    plain = dict.fromkeys(SHAPE.layers, LayerSetting.plain(32))
    assert record.sizes == network_sizes(SHAPE, plain, norm_bits=16)
    assert "outside mlgsearch" in str(record.error)


def test_layers_are_described_for_readers() -> None:
    of = new_trials(space={"full_precision": ["conv1"]})
    layers = {layer.name: layer for layer in of.layers()}
    assert list(layers) == list(SHAPE.layers)
    stem, head = layers["conv1"], layers["fc"]
    times = "\N{MULTIPLICATION SIGN}"
    assert (stem.kind, stem.shape, stem.is_searched) == (
        "conv",
        times.join(["16", "1", "3", "3"]),
        False,
    )
    assert (head.kind, head.weights, head.is_searched) == ("linear", 640, False)
    assert layers["layer1.0.conv1"].is_searched
    rest = 32 * (SHAPE.norm_parameters + SHAPE.other_parameters)
    assert sum(layer.plain_bits for layer in layers.values()) + rest == 32 * SHAPE.full_parameters


def test_bits_of_the_layers_are_those_of_the_network() -> None:
    of = new_trials()
    record = of.record(a_proposal(of))
    assert list(record.layer_bits) == list(SHAPE.layers)
    rest = 32 * (SHAPE.norm_parameters + SHAPE.other_parameters)
    assert sum(record.layer_bits.values()) + rest == record.sizes.bits
    assert record.layer_damage == {}


def test_damage_is_what_the_tables_say_of_a_setting() -> None:
    spec, shape, tables = planned_spec(), samples.shape(), samples.tables()
    space = Space(spec, shape, tables)
    of = NewTrials(spec, space, shape, "teacher", {}, tables)
    trial = create_trial(params=space.first[0], distributions=space.distributions, values=[0, 0])
    record = of.record(trial)
    settings = space.decode(trial.params).settings
    assert record.layer_damage == Allocator(tables).layer_damage(settings)
