"""A kind of space is a class with a line in one table."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import IntDistribution
from pydantic import ValidationError

from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.study.file.search_spec import FirstTrial
from mlgsearch.study.file.space_kinds import SPACE_KINDS, SpaceKind
from mlgsearch.study.file.space_spec import SpaceSpec
from mlgsearch.study.space.coordinates import Coordinates, Parameters
from mlgsearch.study.space.searched_layers import SearchedLayers
from mlgsearch.study.space.space import Space
from tests.study.samples import MIXED, a_spec

PAGE = Path(__file__).parents[3] / "docs" / "study-file.md"


class BitsAlone(Coordinates):
    """A kind that only this test knows: plain layers, all at the same bits."""

    def __init__(self, space: SpaceSpec, layers: SearchedLayers, *_: object) -> None:
        self._layers = layers
        self.distributions = {"bits": IntDistribution(space.q_basis[0], space.q_basis[1])}

    def decode(self, parameters: Mapping[str, Any]) -> dict[str, LayerSetting]:
        return dict.fromkeys(self._layers.names, LayerSetting.plain(parameters["bits"]))

    def encode(self, first: FirstTrial, where: str) -> Parameters:
        return {"bits": first.setting[2]}


@pytest.fixture
def bits_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    line = SpaceKind(f"{__name__}:BitsAlone", can_plan=False, has_head=True)
    monkeypatch.setitem(SPACE_KINDS, "bits_alone", line)


@pytest.mark.usefixtures("bits_alone")
def test_a_line_adds_a_kind() -> None:
    search = {"first": [{"setting": [0, 0, 5, 0, 0]}]}
    spec = a_spec(space={"kind": "bits_alone", "q_basis": [3, 6]}, search=search)
    space = Space(spec, MIXED)
    assert space.distributions == {"bits": IntDistribution(3, 6)}
    assert space.first == [{"bits": 5}]
    assert space.searched == tuple(MIXED.layers)
    found = space.decode({"bits": 4}).settings
    assert set(found.values()) == {LayerSetting.plain(4)}
    assert space.allowed({"bits": 4}) == {"bits": 4}


@pytest.mark.usefixtures("bits_alone")
def test_what_the_line_says_is_held() -> None:
    with pytest.raises(ValidationError, match=r"budget_kb needs kind: allocation\b"):
        SpaceSpec(kind="bits_alone", budget_kb=(1.0, 2.0))
    with pytest.raises(ValidationError, match="Input should be 'allocation', "):
        SpaceSpec(kind="bits")


@pytest.mark.parametrize("kind", SPACE_KINDS)
def test_every_kind_is_on_the_page(kind: str) -> None:
    (row,) = [line for line in PAGE.read_text().splitlines() if line.startswith("| `space.kind`")]
    assert f"`{kind}`" in row
