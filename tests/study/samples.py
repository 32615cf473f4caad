"""A small study and its network, without data and without training."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from mlgsearch.mlg.network import NetworkShape, network_shape
from mlgsearch.mlg.setting import LayerShape
from mlgsearch.records import EpochRecord
from mlgsearch.study.file.spec import StudySpec
from mlgsearch.study.file.study_file import parse_study
from mlgsearch.train.networks.models import build_model
from mlgsearch.train.spec import ModelSpec
from tests.results import samples

#: All kinds of layers: a stem of one channel, 3x3, 1x1, depthwise, and a head.
MIXED = NetworkShape(
    {
        "stem": LayerShape("conv", 16, 1, (3, 3), out_positions=64),
        "wide": LayerShape("conv", 64, 48, (3, 3), out_positions=64),
        "point": LayerShape("conv", 64, 40, (1, 1), out_positions=64),
        "depth": LayerShape("conv", 64, 1, (3, 3), groups=64, out_positions=64),
        "head": LayerShape("linear", 10, 64),
    },
    norm_parameters=256,
)


@cache
def resnet8() -> NetworkShape:
    """Shape of the small residual network on 8x8 digits."""
    model = build_model(ModelSpec(), classes=10, channels=1, image_size=(8, 8))
    return network_shape(model, (1, 8, 8))


def a_spec(*, space: Mapping[str, Any] | None = None, **content: Any) -> StudySpec:
    """Return a specification; its space needs no plan unless it says so."""
    space = {"kind": "layerwise", **(space or {})}
    return parse_study({"name": "digits", "space": space, **content}, "x.yaml")


def an_epoch(epoch: int, accuracy: float = 0.8) -> EpochRecord:
    return samples.an_epoch(epoch, validation_accuracy=accuracy, validation_loss=0.5)
