from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.pages.trial.first_entry import first_entry
from mlgsearch.mlg.network import NetworkShape
from mlgsearch.records import StudyRecord
from mlgsearch.study.file.spec import StudySpec
from mlgsearch.study.file.strict_yaml import load
from mlgsearch.study.file.study_file import parse_study
from mlgsearch.study.search.new_trial import described
from mlgsearch.study.space.space import Space
from tests.results.samples import a_study, a_trial
from tests.study.samples import MIXED, a_spec, resnet8
from tests.study.space.test_space import values_of

SPACES: Mapping[str, dict[str, Any]] = {
    "layerwise": {"kind": "layerwise", "B_in": [2, 4], "B_out": [4, 60]},
    "with a head": {"kind": "layerwise", "head_bits": "search", "full_precision": ["stem"]},
    "with a learning rate": {
        "kind": "layerwise",
        "hyperparameters": {
            "training.learning_rate": {"low": 1e-6, "high": 0.1, "log": True},
            "training.optimiser": {"choices": ["radam", "adamw"]},
        },
    },
    "uniform": {"kind": "uniform", "B_in": [1, 8], "B_out": [2, 60]},
}


def a_record(spec: StudySpec, space: Space) -> StudyRecord:
    layers = tuple(
        described(name, layer, is_searched=name in space.searched)
        for name, layer in space.layers.items()
    )
    return a_study(content=spec.content(), layers=layers)


def pasted(spec: StudySpec, entry: str) -> StudySpec:
    """Return the study whose file has the entry under ``search.first``."""
    found = load(f"search:\n  first:\n{entry}", "x.yaml")
    return parse_study({**spec.content(), "search": found["search"]}, "x.yaml")


@pytest.mark.parametrize("network", [MIXED, resnet8()], ids=["mixed", "resnet8"])
@pytest.mark.parametrize("kind", SPACES)
@settings(max_examples=20)
@given(data=st.data())
def test_a_study_file_with_the_entry_tries_the_same_student(
    data: st.DataObject, kind: str, network: NetworkShape
) -> None:
    content = dict(SPACES[kind])
    if network is not MIXED:
        content.pop("full_precision", None)
    spec = a_spec(space=content)
    space = Space(spec, network)
    parameters = {name: data.draw(values_of(d)) for name, d in space.distributions.items()}
    proposal = space.decode(parameters)
    trial = a_trial(
        settings={name: setting.five for name, setting in proposal.settings.items()},
        hyperparameters=proposal.hyperparameters,
    )
    again = Space(pasted(spec, first_entry(a_record(spec, space), trial)), network)
    assert again.decode(again.first[0]) == proposal


def test_more_bases_than_a_pointwise_layer_takes_are_not_read_off_it() -> None:
    """At 40 only the 1x1 layer has a level, lowered to 36; there the wide one would have one."""
    spec = a_spec(space=dict(SPACES["uniform"]))
    space = Space(spec, MIXED)
    proposal = space.decode(dict(zip(space.distributions, (8, 40, 5, 8, 2), strict=True)))
    five = {name: setting.five for name, setting in proposal.settings.items()}
    assert (five["wide"][1], five["point"][1]) == (0, 36)
    trial = a_trial(settings=five, hyperparameters={})
    entry = first_entry(a_record(spec, space), trial)
    again = Space(pasted(spec, entry), MIXED)
    assert again.decode(again.first[0]).settings == proposal.settings
