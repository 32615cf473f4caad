import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.charts.layers.layer_names import MOST_LETTERS, groups, short_names

DENSE = [
    "features.conv0",
    *(f"features.denseblock{i}.denselayer{j}.conv{k}" for i in "12" for j in "1234" for k in "12"),
    "features.transition1.conv",
    "classifier",
]


def test_names_that_fit_stay() -> None:
    names = ["conv1", "layer1.0.conv1", "layer1.0.conv2", "fc"]
    assert short_names(names) == names
    assert short_names([]) == []


def test_what_all_share_goes_first_then_ends_of_words() -> None:
    assert short_names([f"features.block{i}.convolution" for i in range(3)]) == [
        "block0.convolution",
        "block1.convolution",
        "block2.convolution",
    ]
    short = short_names(DENSE)
    assert short[:2] == ["conv0", "denseb1.densel1.conv1"]
    assert short[-2:] == ["tra1.conv", "classifier"]


def test_what_still_is_too_long_loses_its_middle() -> None:
    long = [f"{'a' * 30}{i}" for i in range(3)]
    short = short_names(long)
    assert all(len(name) == MOST_LETTERS for name in short)
    assert [name[-1] for name in short] == ["0", "1", "2"]


@given(
    st.lists(st.from_regex(r"[a-c_]{1,12}\d?(\.[a-c]{1,9}\d?){0,3}", fullmatch=True), unique=True)
)
def test_names_that_differ_stay_different(names: list[str]) -> None:
    assert len(set(short_names(names))) == len(names)


@pytest.mark.parametrize(
    ("names", "places"),
    [
        (["conv1", "layer1.0", "layer1.1", "layer2.0", "fc"], [1, 3, 4]),
        (DENSE, [1, 9, 17, 18]),
        (["fc"], []),
        ([], []),
    ],
)
def test_blocks_begin_where_the_first_part_changes(names: list[str], places: list[int]) -> None:
    assert groups(names) == places
