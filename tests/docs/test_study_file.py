"""The study file's page agrees with the model that reads study files."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from mlgsearch.mlg.network import network_shape, network_sizes
from mlgsearch.records import OBJECTIVES
from mlgsearch.study.file.hyperparameter import HYPERPARAMETERS
from mlgsearch.study.file.search_spec import EarlyStoppingSpec
from mlgsearch.study.file.spec import StudySpec
from mlgsearch.study.file.study_file import load_study_file
from mlgsearch.study.space.space import Space
from mlgsearch.train.networks.models import build_model

ROOT = Path(__file__).parents[2]
#: The memory ratios of the paper's table for the settings that stand first in a study.
PAPER = {
    "cifar10_resnet18": [0.0131, 0.0080],
    "cifar100_resnet18": [0.0140, 0.0090],
    "cifar10_densenet121": [0.0587, 0.0395],
    "cifar100_densenet121": [0.0612, 0.0422],
}
PAGE = (ROOT / "docs" / "study-file.md").read_text()


def keys(model: type[BaseModel], instance: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """List every key with its default; a part's defaults are those of the default part."""
    for name, field in model.model_fields.items():
        default = (
            getattr(instance, name) if instance else field.get_default(call_default_factory=True)
        )
        if isinstance(default, BaseModel):
            yield from keys(type(default), default, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", default


def shown(default: Any) -> str:
    """Write a default as the page does."""
    if default is PydanticUndefined:
        return "required"
    if default is None:
        return "none"
    if isinstance(default, tuple) and default and isinstance(default[0], str):
        return f"`[{', '.join(default)}]`"
    text = json.dumps(default) if not isinstance(default, str) else default
    return f"`{text}`"


def test_every_key_stands_on_the_page_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `([\w.]+)` \| (.+?) \|", PAGE, flags=re.MULTILINE))
    expected = {key: shown(default) for key, default in keys(StudySpec, None)}
    assert rows == expected


def test_every_number_of_early_stopping_stands_on_the_page_with_its_default() -> None:
    for name, default in keys(EarlyStoppingSpec, None):
        assert (f"`{name}`" if default is None else f"`{name}` ({default})") in PAGE


@pytest.mark.parametrize("name", [*HYPERPARAMETERS, *OBJECTIVES])
def test_every_name_that_may_be_searched_or_optimised_stands_on_the_page(name: str) -> None:
    assert f"`{name}`" in PAGE


@pytest.mark.parametrize("path", sorted((ROOT / "studies").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_study_that_comes_along_is_valid(path: Path) -> None:
    spec, _ = load_study_file(path)
    assert spec.name == path.stem


@pytest.mark.parametrize("path", sorted((ROOT / "studies").glob("*.yaml")), ids=lambda p: p.stem)
def test_its_first_trials_lie_in_its_space_and_get_smaller_than_the_teacher(path: Path) -> None:
    spec, _ = load_study_file(path)
    channels, side = (1, 8) if spec.data.name == "digits" else (3, spec.data.image_size or 32)
    with torch.device("meta"):
        network = build_model(
            spec.model,
            classes=100 if spec.data.name == "CIFAR100" else 10,
            channels=channels,
            image_size=(side, side),
        )
        shape = network_shape(network, (channels, side, side))
    # What is planned needs a trained teacher; the settings that are asked for do not.
    layerwise = {"kind": "layerwise", "hyperparameters": {}}
    alone: dict[str, object] = {"hyperparameters": {}, "layers": {}}
    first = tuple(each.model_copy(update=alone) for each in spec.search.first)
    asked = spec.model_copy(
        update={
            "space": spec.space.model_copy(update=layerwise),
            "search": spec.search.model_copy(update={"planned": 0, "first": first}),
        }
    )
    space = Space(asked, shape)
    ratios = [network_sizes(shape, space.decode(f).settings).memory_ratio for f in space.first]
    assert all(ratio < 0.25 for ratio in ratios)
    if spec.name in PAPER:
        assert [round(ratio, 4) for ratio in ratios] == PAPER[spec.name]
