from typing import Any

from optuna.distributions import IntDistribution
from optuna.trial import FrozenTrial, create_trial

from mlgsearch.mlg.network import network_sizes
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.records import TrialState
from mlgsearch.study.draft import Drafts
from mlgsearch.study.space import Space
from tests.study.samples import a_spec, resnet8

SHAPE = resnet8()


def drafts(**content: Any) -> Drafts:
    spec = a_spec(**content)
    return Drafts(spec, Space(spec, SHAPE), SHAPE, "teacher", {})


def a_proposal(of: Drafts, **values: Any) -> FrozenTrial:
    wanted = {
        name: values.get(name, d.high if isinstance(d, IntDistribution) else None)
        for name, d in of.space.distributions.items()
    }
    return create_trial(params=wanted, distributions=of.space.distributions, values=[0, 0])


def test_batch_norm_is_counted_at_the_trials_own_bits() -> None:
    plain = drafts()
    settings = plain.space.decode(a_proposal(plain).params).settings
    full, half = (network_sizes(SHAPE, settings, norm_bits=bits) for bits in (32, 16))
    assert half.memory_ratio < full.memory_ratio
    assert plain.record(a_proposal(plain)).sizes == full
    fixed = drafts(quantisation={"norm_bits": 16})
    assert fixed.record(a_proposal(fixed)).sizes == half
    name = "quantisation.norm_bits"
    searched = drafts(space={"hyperparameters": {name: {"choices": [16, 32]}}})
    for bits, sizes in ((16, half), (32, full)):
        assert searched.record(a_proposal(searched, **{name: bits})).sizes == sizes


def test_a_foreign_trial_has_failed() -> None:
    of = drafts(quantisation={"norm_bits": 16})
    record = of.record(create_trial(values=[0, 0]))
    assert record.state == TrialState.FAIL
    plain = dict.fromkeys(SHAPE.layers, LayerSetting.plain(32))
    assert record.sizes == network_sizes(SHAPE, plain, norm_bits=16)
    assert "outside mlgsearch" in str(record.error)
