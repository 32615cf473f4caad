"""Trials as lines: which are drawn, and in which look."""

from dataclasses import replace

import numpy as np

from dashboard.charts.colouring import Colouring
from dashboard.charts.parallel.chart import MOST_LINES, ParallelPicture, lines_of, parallel_chart
from dashboard.charts.parallel.lanes import Lane
from dashboard.theme import PALETTES, Figure
from mlgsearch.results.analysis.trial_columns import TrialColumns
from tests.dashboard.columns import many_columns, some_columns

COLUMNS = some_columns(
    ("COMPLETE", 0.8, 0.02), ("PRUNED", 0.85, 0.03), ("FAIL", None, 0.04), ("COMPLETE", 0.7, 0.05),
    ("COMPLETE", 0.9, 0.1), ("RUNNING", 0.3, 0.2),
)  # fmt: skip
FRONT = COLUMNS.front_rows(("accuracy", "memory_ratio"))


def picture(columns: TrialColumns = COLUMNS) -> ParallelPicture:
    everything = np.arange(len(columns))
    lanes = [
        Lane.of_numbers("size", columns.memory_ratio, everything, "{:g}".format),
        Lane.of_numbers("accuracy", columns.accuracy, everything, "{:g}".format),
    ]
    return ParallelPicture(
        columns,
        [lane for lane in lanes if lane is not None],
        lines_of(columns, everything, FRONT, ()),
        FRONT,
    )


def drawn(figure: Figure) -> dict[str, list[int]]:
    """Return the trials of each trace of lines, in the order they are drawn."""
    return {
        trace["name"]: list(dict.fromkeys(mark[0] for mark in trace["customdata"] if mark))
        for trace in figure["data"]
        if "customdata" in trace
    }


def test_the_selected_come_first_then_the_front_then_the_most_accurate() -> None:
    rows = lines_of(COLUMNS, np.arange(6), FRONT, (5,))
    assert COLUMNS.number[rows].tolist() == [5, 4, 0, 3, 1]


def test_of_many_trials_few_have_a_line_and_they_are_the_best() -> None:
    columns = many_columns(3_000)
    front = columns.front_rows(("accuracy", "memory_ratio"))
    rows = lines_of(columns, np.arange(3_000), front, (17,))
    assert len(rows) == MOST_LINES
    assert np.isin(front, rows).all()
    left = columns.accuracy[rows[len(front) + 1 :]]
    assert (np.diff(left) <= 0).all()


def test_lines_have_the_colour_of_their_state_and_the_best_lie_on_top() -> None:
    figure = parallel_chart(picture(), "light")
    assert drawn(figure) == {
        "not complete (2)": [5, 1], "complete (1)": [3], "front (2)": [0, 4]
    }  # fmt: skip
    front = next(trace for trace in figure["data"] if trace["name"] == "front (2)")
    assert front["line"] == {"width": 2.25, "color": PALETTES["light"].front}
    assert front["x"] == [0, 1, None, 0, 1, None]
    assert front["y"][2] is None
    assert front["text"][:2] == ["size: 0.02", "accuracy: 0.8"]


def test_groups_have_their_colours_and_one_name_each() -> None:
    colouring = Colouring.of_words("optimiser", ["sgd", "sgd", "sgd", "adam", "adam", None])
    figure = parallel_chart(replace(picture(), colouring=colouring), "dark")
    named = [trace["name"] for trace in figure["data"] if trace["showlegend"]]
    assert sorted(named) == ["not complete (2)", "optimiser adam (2)", "optimiser sgd (1)"]


def test_where_nothing_differs_it_says_so() -> None:
    figure = parallel_chart(picture(some_columns(("COMPLETE", 0.8, 0.02))), "light")
    assert not figure["data"]
    assert "no two trials with an accuracy differ yet" in str(figure["layout"]["annotations"])


def test_selected_trials_are_drawn_on_top_and_others_step_back() -> None:
    figure = parallel_chart(replace(picture(), selected=(3, 2)), "light")
    *others, selected, _ticks = figure["data"]
    assert selected["name"] == "trial 3"  # the failed one has no line
    assert selected["line"]["color"] == PALETTES["light"].series[0]
    assert {trace["opacity"] for trace in others} == {0.5}
