"""Bits of activations in a space: one budget, spent by the plan, within the limit."""

from functools import cache
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution

from mlgsearch.errors import StudyFileError
from mlgsearch.mlg.activations import trace_activations
from mlgsearch.mlg.input_quantiser import InBits
from mlgsearch.planning.activation_bits import ActivationPlan
from mlgsearch.planning.input_noise import input_noise
from mlgsearch.study.file.search_spec import FirstTrial
from mlgsearch.study.file.spec import StudySpec
from mlgsearch.study.search.new_trial import NewTrials
from mlgsearch.study.space.packed_sizes import PackedSizes
from mlgsearch.study.space.possible_limits import require_possible
from mlgsearch.study.space.space import Space
from tests.planning import samples
from tests.study.samples import a_spec
from tests.study.space.test_limits import DIGITS

CHOICES: tuple[InBits, ...] = (4, 6, 8)
#: Of the sample network, resnet8 of width 8: 4,352 bytes at 4 bits everywhere, 4,608 at 8.
LEAST, MOST = 4_352, 4_608


@cache
def a_plan() -> ActivationPlan:
    return ActivationPlan(
        trace_activations(samples.trained(), (1, 8, 8)),
        input_noise(samples.trained(), samples.batches(), CHOICES),
        CHOICES,
        list(samples.shape().layers),
    )


def a_study(kind: str = "layerwise", **content: Any) -> StudySpec:
    space = {"kind": kind, "B_in": [1, 4], "B_out": [1, 16], "activation_bits": list(CHOICES)}
    model = {"name": "resnet8", "width": 8}
    return a_spec(space=space, model=model, **content)


def a_space(spec: StudySpec) -> Space:
    packed = PackedSizes(spec.train_spec(), 10, (1, 8, 8))
    return Space(spec, samples.shape(), samples.tables(), packed, a_plan())


@pytest.mark.parametrize("kind", ["layerwise", "uniform", "allocation"])
def test_every_proposal_keeps_the_limit_and_says_its_bits(kind: str) -> None:
    spec = a_study(kind, limits={"peak_activation_bytes": 4_600})
    space = a_space(spec)
    budget = space.distributions["activation_kb"]
    assert isinstance(budget, FloatDistribution)
    assert (budget.low, budget.high) == (LEAST / 1000, 4.6)
    new_trials = NewTrials(spec, space, samples.shape(), "beef", {})
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    texts = set()
    for _ in range(6):
        trial = study.ask(space.distributions)
        record = new_trials.record(study.trials[trial.number])
        text = str(record.hyperparameters["quantisation.in_bits"])
        assert set(text.split(",")) <= {"4", "6", "8"}
        assert len(text.split(",")) == len(samples.shape().layers)
        assert LEAST <= (record.peak_activation_bytes or 0) <= 4_600
        train = space.decode(trial.params).train_spec(spec.train_spec())
        assert train.quantisation.in_bits == tuple(map(int, text.split(",")))
        texts.add(text)
    assert len(texts) > 1


def test_planned_trials_have_all_the_room_there_is_and_keep_the_byte_limit() -> None:
    limits = {"packed_bytes": 6_000, "peak_activation_bytes": 5_000}
    space = a_space(a_study("allocation", limits=limits))
    assert len(space.first) > 2
    for first in space.first:
        assert first["activation_kb"] == MOST / 1000
        assert set(space.decode(first).hyperparameters["quantisation.in_bits"].split(",")) == {"8"}  # type: ignore[union-attr]
        assert space.allowed(first) == first


def test_an_impossible_limit_says_the_least_and_what_binds() -> None:
    said = (
        r"limits.peak_activation_bytes: 4,351 cannot be kept: the smallest network in range has "
        r"4,352; the layers that bind are layer1.0.conv1, layer1.0.conv2"
    )
    limits = {"peak_activation_bytes": LEAST - 1}
    with pytest.raises(StudyFileError, match=said):
        require_possible(a_study(limits=limits), samples.shape(), DIGITS)
    require_possible(a_study(limits={"peak_activation_bytes": LEAST}), samples.shape(), DIGITS)
    with pytest.raises(StudyFileError, match=r"limits: peak_activation_bytes cannot be 4,351: the"):
        a_space(a_study(limits=limits))


def test_a_warm_start_takes_the_room_of_the_earlier_student() -> None:
    five = (0, 0, 4, 0, 0)
    bits = ",".join(["4"] * len(samples.shape().layers))
    earlier = FirstTrial(
        setting=five,
        layers=dict.fromkeys(samples.shape().layers, five),
        hyperparameters={"quantisation.in_bits": bits},
        source="study 'a': trial 3",
    )
    spec = a_study()
    search = spec.search.model_copy(update={"first": (earlier,)})
    space = a_space(spec.model_copy(update={"search": search}))
    assert [first["activation_kb"] for first in space.first] == [LEAST / 1000]
    taken = space.decode(space.first[0]).train_spec(spec.train_spec()).quantisation
    assert space.packed is not None
    settings = space.decode(space.first[0]).settings
    assert space.packed.peak_activation_bytes(settings, taken) == LEAST
    assert taken.in_bits != (4,) * len(settings)  # what does not bind has more


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"quantisation": {"in_bits": 8}}, "is chosen for each layer where space.activation_bits"),
        ({"quantisation": {"in_bits": [8, 9]}}, "quantisation.in_bits: expected 2 to 8 or 32, or"),
    ],
)
def test_mistakes_in_a_study_file(content: dict[str, Any], said: str) -> None:
    with pytest.raises(StudyFileError, match=said):
        a_study(**content)


def test_no_bits_of_activations_leave_a_study_as_it_was() -> None:
    spec = a_spec()
    assert spec.space.activation_bits == ()
    space = Space(spec, samples.shape())
    assert "activation_kb" not in space.distributions
