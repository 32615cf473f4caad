from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mlgsearch.errors import StudyFileError
from mlgsearch.mlg.compress import compress
from mlgsearch.mlg.network import network_sizes
from mlgsearch.mlg.uniform import uniform_settings
from mlgsearch.study.file.spec import StudySpec
from mlgsearch.study.search.new_trial import NewTrials
from mlgsearch.study.space.packed_sizes import PackedSizes
from mlgsearch.study.space.possible_limits import require_possible
from mlgsearch.study.space.space import Space
from mlgsearch.train.files.packed_card import PackedCard
from mlgsearch.train.files.packed_file import to_bytes
from mlgsearch.train.networks.models import build_model
from mlgsearch.train.spec import QuantisationSpec
from tests.study.driverless import Driverless, next_job
from tests.study.samples import MIXED, a_spec, resnet8

#: What is looked at of images here.
DIGITS: Any = SimpleNamespace(classes=10, input_shape=(1, 8, 8))


def a_limited(limits: dict[str, float], **space: Any) -> StudySpec:
    return a_spec(limits=limits, space=space)


@pytest.mark.parametrize("norm_bits", [16, 32])
def test_packed_sizes_are_those_of_real_files(norm_bits: Any) -> None:
    spec = a_spec()
    settings = uniform_settings(resnet8(), (2, 8, 3, 4, 3))
    quantisation = QuantisationSpec(norm_bits=norm_bits)
    network = build_model(spec.model, classes=10, channels=1, image_size=(8, 8))
    compress(network, settings, method=quantisation.method, norm_bits=norm_bits)
    card = PackedCard(
        model=spec.model,
        classes=10,
        channels=1,
        image_size=(8, 8),
        method=quantisation.method,
        settings=tuple(settings.values()),
        norm_bits=norm_bits,
        mean=(0.3,),
        std=(0.4,),
    )
    with torch.no_grad():
        real = len(to_bytes(network.eval(), card))
    assert PackedSizes(spec, 10, (1, 8, 8)).bytes_of(settings, quantisation) == real


@pytest.mark.parametrize("kind", ["layerwise", "uniform"])
def test_no_trial_that_breaks_a_limit_is_ever_asked_for(kind: str, database_url: str) -> None:
    ratio = 0.12
    study = Driverless(
        database_url, n_trials=30, space={"kind": kind}, limits={"memory_ratio": ratio}
    )
    ratios = []
    for _ in range(12):
        job = next_job(study.ledger)
        ratios.append(network_sizes(MIXED, job.proposal.settings).memory_ratio)
        study.ledger.fail(job.number, "x") if job.number > 9 else None
    assert max(ratios) <= ratio
    assert len(set(ratios)) > 3
    free = Space(a_spec(space={"kind": kind}), MIXED)
    new_trials = NewTrials(a_spec(space={"kind": kind}), free, MIXED, "beef", {})
    assert new_trials.layers()  # the same network without limits is still there
    study.close()


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"memory_ratio": 0.001}, r"limits.memory_ratio: 0.001 cannot be kept: the smallest"),
        ({"packed_bytes": 500}, r"limits.packed_bytes: 500 cannot be kept: .* has 2,\d\d\d; the"),
        ({"execution_macs": 10}, r"limits.execution_macs: 10 cannot be kept: .* bind are layer"),
        ({"parameter_ratio": 0.001}, r"limits.parameter_ratio"),
        (
            {"peak_activation_bytes": 12_287},
            r"limits.peak_activation_bytes: 12,287 cannot be kept: the smallest network in range "
            r"has 12,288; the layers that bind are layer1.0.conv1, layer1.0.conv2$",
        ),
    ],
)
def test_an_impossible_limit_says_what_is_possible(limits: dict[str, float], said: str) -> None:
    spec = a_limited(limits, kind="allocation")
    with pytest.raises(StudyFileError, match=said):
        require_possible(spec, resnet8(), DIGITS)


def test_a_limit_at_the_least_is_possible() -> None:
    with pytest.raises(StudyFileError) as raised:
        require_possible(a_limited({"packed_bytes": 1}, kind="allocation"), resnet8(), DIGITS)
    least = int(str(raised.value).split("has ")[1].split(";")[0].replace(",", ""))
    require_possible(a_limited({"packed_bytes": least}, kind="allocation"), resnet8(), DIGITS)


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"accuracy": 0.9}, "'accuracy' has no limit; memory_ratio, parameter_ratio, packed"),
        ({"packed_bytes": 0}, "limits.packed_bytes"),
        ({"packed_bytes": "300 kB"}, "limits.packed_bytes"),
    ],
)
def test_mistakes_in_a_study_file(limits: dict[str, Any], said: str) -> None:
    with pytest.raises(StudyFileError, match=said):
        a_spec(limits=limits)
