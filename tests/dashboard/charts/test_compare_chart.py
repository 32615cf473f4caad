"""Fronts of several studies on one picture."""

import numpy as np

from dashboard.charts.axes.size_axis import SIZE_AXES
from dashboard.charts.compare_chart import StudyFront, compare_chart
from mlgsearch.records import ReferencePoint
from tests.dashboard.columns import some_columns

RATIO = SIZE_AXES["memory_ratio"]


def test_each_front_has_a_colour_and_a_shape_and_its_name_as_it_is_written() -> None:
    columns = some_columns(("COMPLETE", 0.9, 0.1), ("COMPLETE", 0.8, 0.02), ("COMPLETE", 0.1, 0.5))
    fronts = [
        StudyFront("<b>one", columns, np.array([0, 1])),
        StudyFront("two" * 30, columns, np.array([1])),
    ]
    reference = ReferencePoint("MLG", 0.01, 0.93, "s", "p")
    one, two, reported = compare_chart(fronts, RATIO, [reference], "light").data
    assert (list(one.x), list(one.customdata)) == ([0.02, 0.1], [[1], [0]])
    assert one.name == "&lt;b&gt;one"
    assert "&lt;b&gt;one" in one.hovertemplate
    assert len(two.name) == 40
    assert (one.marker.symbol, one.line.color) != (two.marker.symbol, two.line.color)
    assert list(reported.x) == [0.01]


def test_the_axes_have_room_for_all_and_a_zoom_is_kept() -> None:
    columns = some_columns(("COMPLETE", 0.9, 0.1))
    front = StudyFront("one", columns, np.array([0]))
    reference = ReferencePoint("MLG", 0.001, 0.93, "s", "p")
    low, high = compare_chart([front], RATIO, [reference], "light").layout.xaxis.range
    assert low < -3 < -1 < high
    zoom = (-1.5, -0.5, 85.0, 95.0)
    layout = compare_chart([front], RATIO, [], "light", zoom).layout
    assert layout.xaxis.range + layout.yaxis.range == zoom
