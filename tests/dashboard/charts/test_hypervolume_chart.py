"""The growth of the hypervolume as a picture."""

import plotly.graph_objects as go

from dashboard.charts.hypervolume_chart import hypervolume_chart
from tests.dashboard.columns import some_columns

COLUMNS = some_columns(
    ("COMPLETE", 0.8, 0.1), ("FAIL", None, 0.1), ("COMPLETE", 0.7, 0.5), ("COMPLETE", 0.9, 0.1),
    ("COMPLETE", 0.1, 0.9),
)  # fmt: skip
COURSE = COLUMNS.hypervolume_over_trials(("accuracy", "memory_ratio"))


def test_a_step_stands_where_a_trial_brought_it_and_the_last_goes_on() -> None:
    figure = go.Figure(hypervolume_chart(COLUMNS, COURSE, "light"))
    (line,) = figure.data
    assert list(line.x) == [1, 3, 4 * 1.03]
    assert list(line.y) == [0.8, 0.9, 0.9]
    assert list(line.customdata) == [[0, 1], [3, 3], [3, 4]]
    assert figure.layout.xaxis.range[1] == line.x[-1]
    assert line.line.shape == "hv"


def test_the_moment_of_a_replay_is_marked() -> None:
    figure = go.Figure(hypervolume_chart(COLUMNS, COURSE, "light", seen=2))
    (mark,) = figure.layout.shapes
    assert (mark.x0, mark.x1, mark.yref) == (2, 2, "y domain")


def test_a_step_of_the_very_last_trial_is_seen() -> None:
    columns = some_columns(("COMPLETE", 0.8, 0.1), ("COMPLETE", 0.9, 0.05))
    course = columns.hypervolume_over_trials(("accuracy", "memory_ratio"))
    (line,) = go.Figure(hypervolume_chart(columns, course, "light")).data
    assert list(line.x) == [1, 2, 2 * 1.03]


def test_without_results_there_is_no_line() -> None:
    columns = some_columns(("FAIL", None, 0.1))
    course = columns.hypervolume_over_trials(("accuracy", "memory_ratio"))
    (line,) = go.Figure(hypervolume_chart(columns, course, "light")).data
    assert list(line.x) == []
