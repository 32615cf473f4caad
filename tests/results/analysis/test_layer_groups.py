"""Which layers share a group."""

import pytest

from mlgsearch.results.analysis.layer_groups import group_names


@pytest.mark.parametrize(
    ("layers", "groups"),
    [
        (["stem", "layer1.0.conv1", "layer1.1.conv1", "fc"], ["stem", "layer1", "layer1", "fc"]),
        (
            [*(f"features.block{i}.conv{k}" for i in "12" for k in "123"), "classifier"],
            [*["features.block1"] * 3, *["features.block2"] * 3, "classifier"],
        ),
        ([], []),
    ],
)
def test_a_group_is_what_names_begin_with(layers: list[str], groups: list[str]) -> None:
    assert group_names(layers) == groups
