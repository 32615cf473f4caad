"""The axes of parallel coordinates."""

import numpy as np
import pytest

from dashboard.charts.axes.accuracy_scale import AccuracyScale
from dashboard.charts.parallel.lanes import Lane

ALL = np.arange(5)


def test_numbers_stand_between_the_least_and_the_most_of_the_rows() -> None:
    values = np.array([2.0, 4.0, 12.0, np.nan, 100.0])
    lane = Lane.of_numbers("rate", values, ALL[:4], "{:g}".format)
    assert lane is not None
    assert lane.places.tolist() == pytest.approx([0, 0.2, 1, np.nan, np.nan], nan_ok=True)
    assert lane.ticks == {0.0: "2", 0.2: "4", 1.0: "12"}  # so few values are all named
    assert lane.write(4) == "100"


def test_wide_numbers_stand_by_their_logarithms_at_round_ticks() -> None:
    values = np.geomspace(1e-4, 1.0, 9)
    lane = Lane.of_numbers("rate", values, np.arange(9), "{:g}".format)
    assert lane is not None
    assert lane.places[4] == pytest.approx(0.5)
    assert list(lane.ticks) == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    assert [*lane.ticks.values()] == ["0.0001", "0.001", "0.01", "0.1", "1"]


def test_sizes_stand_by_their_logarithms_where_all_are_positive() -> None:
    for values in (np.array([1.0, 2.0, 4.0]), np.array([0.0, 2.0, 4.0])):
        lane = Lane.of_numbers("size", values, ALL[:3], "{:g}".format, is_size=True)
        assert lane is not None
        assert lane.places.tolist() == pytest.approx([0, 0.5, 1])


def test_words_have_a_place_each_the_first_on_top() -> None:
    lane = Lane.of_words("optimiser", ["sgd", "adam", None, "lion", "sgd"], ALL)
    assert lane is not None
    assert lane.places.tolist() == pytest.approx([0, 1, np.nan, 0.5, 0], nan_ok=True)
    assert lane.ticks == {0.0: "sgd", 0.5: "lion", 1.0: "adam"}


def test_what_does_not_differ_or_are_many_words_has_no_lane() -> None:
    same = np.array([640.0, 640.0, np.nan, 640.0, 640.0])
    assert Lane.of_numbers("fc", same, ALL, str) is None
    assert Lane.of_accuracies(same, ALL, AccuracyScale()) is None
    assert Lane.of_words("one", ["a"] * 5, ALL) is None
    many = [str(place) for place in range(9)]
    assert Lane.of_words("many", many, np.arange(9)) is None


@pytest.mark.parametrize(
    ("scale", "title", "tick"),
    [
        (AccuracyScale(), "accuracy", "80 %"),
        (AccuracyScale(95.0, 1.0), "points below the teacher", "5"),
    ],
)
def test_the_more_accurate_stands_higher(scale: AccuracyScale, title: str, tick: str) -> None:
    percents = np.array([60.0, 70.0, 80.0, np.nan, 90.0])
    lane = Lane.of_accuracies(percents, ALL, scale)
    assert lane is not None
    assert lane.title == title
    known = lane.places[[0, 1, 2, 4]]
    assert (np.diff(known) > 0).all()
    assert known[[0, -1]].tolist() == [0, 1]
    assert tick in lane.ticks.values()
    assert lane.write(4) == "90.00 %"


def test_a_heading_is_broken_into_lines_and_escaped() -> None:
    lane = Lane("points below <b>", np.zeros(1), {}, str)
    assert lane.heading == "points<br>below &lt;b&gt;"
