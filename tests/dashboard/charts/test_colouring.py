"""Trials in groups that a colour each."""

from dataclasses import replace

import numpy as np

from dashboard.charts.axes.size_axis import SIZE_AXES, HyperparameterAxis
from dashboard.charts.colouring import MOST_GROUPS, NO_GROUP, Colouring
from dashboard.charts.front_chart import FrontPicture, front_chart
from dashboard.parts.sketch import sketch
from dashboard.theme import palette
from tests.dashboard.columns import many_columns, some_columns


def test_numbers_of_few_values_are_groups_of_their_own() -> None:
    found = Colouring.of_numbers("epochs", np.array([10.0, 20.0, np.nan, 10.0]))
    assert found is not None
    assert found.labels == ("10", "20")
    assert found.groups.tolist() == [0, 1, NO_GROUP, 0]


def test_numbers_of_many_values_are_in_ranges_of_about_as_many() -> None:
    rates = 10 ** np.random.default_rng(0).uniform(-4, -1, 500)
    found = Colouring.of_numbers("rate", rates)
    assert found is not None
    assert len(found.labels) == MOST_GROUPS
    sizes = np.bincount(found.groups, minlength=MOST_GROUPS)
    assert sizes.min() > 70
    # Every trial is in the range that its label says.
    for label, group in zip(found.labels, range(MOST_GROUPS), strict=True):
        own = rates[found.groups == group]
        words = label.split()
        if words[0] == "below":
            assert own.max() < float(words[1])
        elif words[0] == "from":
            assert own.min() >= float(words[1])
        else:
            assert float(words[0]) <= own.min()
            assert own.max() < float(words[2])


def test_of_words_the_rarest_share_a_group() -> None:
    words: list[object] = ["a"] * 5 + ["b"] * 4 + ["c"] * 3 + ["d"] * 2 + ["e", "f", None]
    found = Colouring.of_words("optimiser", words)
    assert found is not None
    assert found.labels == ("a", "b", "c", "d", "others")
    assert found.groups.tolist()[-3:] == [4, 4, NO_GROUP]
    assert Colouring.of_words("optimiser", ["a", "a", None]) is None
    assert Colouring.of_numbers("rate", np.array([1.0, 1.0, np.nan])) is None


def test_complete_trials_have_the_colours_of_their_groups() -> None:
    columns = some_columns(
        ("COMPLETE", 0.8, 0.02), ("COMPLETE", 0.9, 0.1), ("COMPLETE", 0.7, 0.05),
        ("PRUNED", 0.4, 0.03),
    )  # fmt: skip
    rows = np.arange(4)
    front = columns.front_rows(("accuracy", "memory_ratio"))
    colouring = Colouring.of_words("optimiser", ["sgd", "adam", "adam", "sgd"])
    assert colouring is not None
    plain = FrontPicture(columns, SIZE_AXES["memory_ratio"], rows, front, front, rows)
    figure = front_chart(replace(plain, colouring=colouring), "light")
    traces = {trace["name"]: trace for trace in figure["data"] if trace.get("name")}
    assert traces["optimiser adam (1)"]["customdata"] == [[2]]
    assert traces["optimiser adam (1)"]["marker"]["color"] == palette("light").series[0]
    # "adam" and "sgd" are as frequent; the front's two trials are of one each.
    assert traces["front (2)"]["marker"]["color"] == list(reversed(palette("light").series[:2]))


def test_a_mass_of_trials_is_one_image_in_the_groups_colours() -> None:
    columns = many_columns(4_000)
    rows = np.arange(4_000)
    front = columns.front_rows(("accuracy", "memory_ratio"))
    colouring = Colouring.of_numbers("rate", columns.memory_ratio)
    assert colouring is not None
    axis = HyperparameterAxis.of("rate", columns.memory_ratio)
    picture = FrontPicture(columns, axis, rows, front, rows[:0], rows, colouring=colouring)
    figure = front_chart(picture, "dark")
    images = [trace for trace in figure["data"] if trace["type"] == "heatmap"]
    colours = [colour for _, colour in images[-1]["colorscale"]]
    assert colours == list(palette("dark").ramp)
    cells = [[c for c in row if c is not None] for row in images[-1]["z"]]
    assert {c for row in cells for c in row} == set(range(1, MOST_GROUPS + 1))
    # What is seen before plotly runs has all the colours, too.
    drawn = repr(sketch(figure).nodes)
    assert all(f"'fill': '{colour}'" in drawn for colour in palette("dark").ramp)
    # Left to right as the values rise: what colours say is what the axis says.
    means = [np.mean([r[j] for r in images[-1]["z"] if r[j] is not None])
             for j in range(48) if any(r[j] is not None for r in images[-1]["z"])]  # fmt: skip
    assert means == sorted(means)
    assert figure["layout"]["xaxis"]["title"]["text"] == "rate (log scale)"
