"""What the picture of a study draws."""

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from dashboard.charts.axes.accuracy_scale import AccuracyScale
from dashboard.charts.axes.size_axis import SIZE_AXES
from dashboard.charts.axes.zoom import Zoom
from dashboard.charts.front_chart import FrontPicture
from dashboard.charts.front_chart import front_chart as plain_front_chart
from dashboard.charts.lines.limit_line import limit_line
from dashboard.charts.trial_marks import MOST_MARKS, RUG_CELLS
from dashboard.parts.page import Scheme
from mlgsearch.records import PlannedStudent, ReferencePoint
from mlgsearch.results.analysis.choice import Limit
from mlgsearch.results.analysis.trial_columns import TrialColumns
from mlgsearch.results.analysis.uncertainty.verification import VerifiedPoint
from tests.dashboard.columns import many_columns, some_columns
from tests.results.samples import a_complete

COLUMNS = some_columns(
    ("COMPLETE", 0.8, 0.02),
    ("COMPLETE", 0.9, 0.1),
    ("COMPLETE", 0.7, 0.05),
    ("PRUNED", 0.4, 0.03),
    ("FAIL", None, 0.04),
    ("RUNNING", 0.5, 0.06),
    ("RUNNING", None, 0.07),
)


def _picture(
    columns: TrialColumns = COLUMNS, axis: str = "memory_ratio", **more: Any
) -> FrontPicture:
    rows = np.arange(len(columns))
    front = columns.front_rows(("accuracy", SIZE_AXES[axis].objective))
    return replace(FrontPicture(columns, SIZE_AXES[axis], rows, front, front, rows), **more)


def front_chart(picture: FrontPicture, scheme: Scheme, zoom: Zoom | None = None) -> go.Figure:
    """Draw it, and have plotly look it through."""
    return go.Figure(plain_front_chart(picture, scheme, zoom))


def _traces(figure: go.Figure) -> dict[str, Any]:
    return {trace.name.split(" (")[0]: trace for trace in figure.data if trace.name}


def test_its_margins_are_those_it_says() -> None:
    layout = plain_front_chart(_picture(planned=[PlannedStudent(1_000, 0.02, 0.5)]), "light")[
        "layout"
    ]
    axes = [axis for name, axis in layout.items() if name[1:].startswith("axis")]
    assert len(axes) == 4
    assert not any(axis["automargin"] for axis in axes)


@pytest.mark.parametrize(("bound", "is_seen"), [(300, True), (0.01, False), (3_000, False)])
def test_there_is_room_for_a_limit_near_the_trials(bound: float, is_seen: bool) -> None:
    axis = SIZE_AXES["packed_kb"]  # trials have 20 to 100 KB
    limit = limit_line(Limit("max_kb", bound), axis, None)
    layout = plain_front_chart(_picture(axis="packed_kb", limit=limit), "light")["layout"]
    low, high = layout["xaxis"]["range"]
    assert (low < math.log10(bound) < high) == is_seen


@pytest.mark.parametrize(("bound", "anchor"), [(25, "left"), (80, "right")])
def test_a_limits_words_are_where_they_have_room(bound: float, anchor: str) -> None:
    axis = SIZE_AXES["packed_kb"]  # trials have 20 to 100 KB
    limit = limit_line(Limit("max_kb", bound), axis, None)
    (words,) = plain_front_chart(_picture(axis="packed_kb", limit=limit), "light")["layout"][
        "annotations"
    ]
    assert words["xanchor"] == anchor
    assert words["xshift"] == {"left": 4, "right": -4}[anchor]


def test_there_is_room_for_a_limit_on_accuracy() -> None:
    limit = limit_line(Limit("within", 60.0), SIZE_AXES["memory_ratio"], 0.95)
    layout = plain_front_chart(_picture(limit=limit), "light")["layout"]
    low, high = layout["yaxis"]["range"]
    assert low < 35 < high


def test_every_kind_of_trial_has_its_shape_and_its_number() -> None:
    traces = _traces(front_chart(_picture(), "light"))
    assert list(traces["front"].customdata) == [[0], [1]]
    assert list(traces["complete"].customdata) == [[2]]
    assert list(traces["stopped early"].y) == [40]
    assert list(traces["running"].x) == [0.06]
    assert list(traces["failed"].x) == [0.04]
    assert traces["failed"].yaxis == "y2"
    assert len({trace.marker.symbol for trace in traces.values()}) == 4
    assert len({trace.marker.color for trace in traces.values()}) == 5


def test_the_line_bounds_what_was_reached() -> None:
    (steps,) = (trace for trace in front_chart(_picture(), "light").data if trace.mode == "lines")
    assert (list(steps.x), list(steps.y), steps.line.shape) == ([0.02, 0.1], [80, 90], "hv")


def test_a_line_that_is_not_the_fronts_is_named() -> None:
    (own,) = (trace for trace in front_chart(_picture(), "light").data if trace.mode == "lines")
    assert not own.showlegend
    picture = _picture(axis="execution_macs", steps=np.array([0, 2]))
    (other,) = (trace for trace in front_chart(picture, "light").data if trace.mode == "lines")
    assert (other.showlegend, other.name) == (True, "most accurate by MACs of one forward pass")


def test_a_line_through_a_part_of_the_front_is_named() -> None:
    """Of three objectives some of the front lie off the line of two."""
    columns = some_columns(
        ("COMPLETE", 0.9, 0.1), ("COMPLETE", 0.8, 0.05), ("COMPLETE", 0.7, 0.02),
        latency_ms=[7.0, 8.0, 1.0],
    )  # fmt: skip
    front = columns.front_rows(("accuracy", "memory_ratio", "latency_ms"))
    assert len(front) == 3
    for axis, is_named in (("latency_ms", True), ("memory_ratio", False)):
        steps = columns.front_rows(("accuracy", axis))
        picture = _picture(columns, axis, front=front, steps=steps)
        (line,) = (trace for trace in front_chart(picture, "light").data if trace.mode == "lines")
        assert line.showlegend == is_named
    assert list(line.x) == [0.02, 0.05, 0.1]


def test_the_line_is_of_what_the_filters_leave() -> None:
    for shown, xs in (([1, 2], [0.1]), ([2, 3, 4], [])):
        picture = _picture(shown=np.array(shown))
        (line,) = (trace for trace in front_chart(picture, "light").data if trace.mode == "lines")
        assert (list(line.x), line.showlegend) == (xs, False)


def test_other_sizes_are_other_axes() -> None:
    figure = front_chart(_picture(axis="packed_kb"), "light")
    assert list(_traces(figure)["front"].x) == [20, 100]
    assert figure.layout.xaxis.title.text == "packed file in KB (log scale)"
    assert list(_traces(figure)["stopped early"].x) == []  # its file was never packed
    ratio = front_chart(_picture(), "light").layout.xaxis
    assert "0.05<br>\N{MULTIPLICATION SIGN}20" in ratio.ticktext


def test_the_loss_is_an_axis_of_even_steps() -> None:
    columns = some_columns(("COMPLETE", 0.8, 0.02), ("COMPLETE", 0.9, 0.1), loss=[0.5, 0.25])
    figure = front_chart(_picture(columns, "loss"), "light")
    assert list(_traces(figure)["front"].x) == [0.25]
    assert figure.layout.xaxis.title.text == "validation loss"
    assert figure.layout.xaxis.type is None
    assert "validation loss: %{x:.4f}" in _traces(figure)["front"].hovertemplate


def test_a_mass_of_trials_is_an_image_until_one_looks_closely() -> None:
    columns = many_columns(4000)
    picture = _picture(columns)
    traces = _traces(front_chart(picture, "light"))
    assert (traces["complete"].type, traces["stopped early"].type) == ("heatmap", "heatmap")
    assert len(traces["failed"].x) <= RUG_CELLS
    assert any("trials" in text for text in traces["failed"].text)
    near = traces["front"]
    x, y = math.log10(near.x[3]), near.y[3]
    zoomed = _traces(front_chart(picture, "light", (x - 0.05, x + 0.05, y - 1, y + 1)))
    assert zoomed["complete"].type == "scatter"
    assert 0 < len(zoomed["complete"].x) <= MOST_MARKS
    assert all(y - 1 <= value <= y + 1 for value in zoomed["complete"].y)


def test_a_zoom_is_the_range_and_has_ticks_in_it() -> None:
    zoom = (-1.6, -1.2, 70.0, 85.0)
    figure = front_chart(_picture(), "light", zoom)
    assert figure.layout.xaxis.range + figure.layout.yaxis.range == zoom
    assert all(-1.6 <= math.log10(tick) <= -1.2 for tick in figure.layout.xaxis.tickvals)
    assert len(figure.layout.xaxis.tickvals) >= 2
    # Or plotly would keep the range of before.
    assert (
        figure.layout.xaxis.uirevision != front_chart(_picture(), "light").layout.xaxis.uirevision
    )


def test_the_axes_stay_all_along_a_replay() -> None:
    now = front_chart(_picture(), "light")
    then = front_chart(_picture(shown=np.array([0]), front=np.array([0])), "light")
    assert then.layout.xaxis.range == now.layout.xaxis.range
    assert len(_traces(then)["front"].x) == 1


def test_a_front_that_a_filter_hides_is_not_drawn() -> None:
    traces = _traces(front_chart(_picture(shown=np.array([1, 2])), "light"))
    assert list(traces["front"].customdata) == [[1]]


def test_selected_trials_have_a_ring_in_the_order_of_their_colours() -> None:
    figure = front_chart(_picture(selected=(2, 0, 4)), "dark")
    (ring,) = (trace for trace in figure.data if trace.mode == "markers+text")
    assert list(ring.text) == ["2", "0"]  # a failed trial has no place
    assert ring.cliponaxis is False  # or numbers at the chart's top would be cut
    assert len(set(ring.marker.color)) == 2


def test_planned_students_have_a_strip_below_the_trials() -> None:
    planned = [PlannedStudent(20_000, 0.02, 0.4), PlannedStudent(90_000, 0.09, 0.1)]
    picture = _picture(planned=planned, teacher_accuracy=0.95)
    plain = front_chart(replace(picture, planned=()), "light").layout
    for zoom in (None, (-2.0, -1.0, 80.0, 95.0)):
        figure = front_chart(picture, "light", zoom)
        line = _traces(figure)["planned"]
        assert (list(line.x), list(line.y), line.yaxis) == ([0.02, 0.09], [40, 10], "y3")
        strip, layout = figure.layout.yaxis3, figure.layout
        assert strip.range[0] == 0
        assert strip.range[1] > 40
        assert strip.domain[1] < layout.yaxis.domain[0] == layout.yaxis2.domain[0]
        # One axis of sizes is below both.
        assert (layout.xaxis.anchor, strip.anchor) == ("y3", "x")
        words = [note.text for note in layout.annotations]
        assert words == ["teacher 95.00 %", "predicted damage of the plan"]
    assert front_chart(picture, "light").layout.xaxis.range == plain.xaxis.range
    assert front_chart(picture, "light").layout.yaxis.range == plain.yaxis.range
    kilobytes = front_chart(replace(picture, axis=SIZE_AXES["packed_kb"]), "light")
    assert list(_traces(kilobytes)["planned"].x) == [20, 90]
    macs = front_chart(replace(picture, axis=SIZE_AXES["execution_macs"]), "light")
    assert "planned" not in _traces(macs)
    assert macs.layout.yaxis.domain is None


def test_reported_students_tell_source_and_protocol_as_they_are_written() -> None:
    point = ReferencePoint("MLG <b>", 0.008, 0.9372, "Gu et al.", "test part & all")
    figure = front_chart(_picture(references=[point]), "light")
    mark = _traces(figure)["reported by others"]
    assert list(mark.text) == ["MLG &lt;b&gt;"]
    assert list(mark.customdata) == [["Gu et al.", "test part &amp; all", "93.72"]]
    assert figure.layout.yaxis.range[1] > 93.72
    assert "reported by others" not in _traces(
        front_chart(_picture(axis="packed_kb", references=[point]), "light")
    )


def test_verified_students_have_bars_over_their_seeds() -> None:
    trial = a_complete(1, 0.9, 0.1, packed_bytes=100_000)
    point = VerifiedPoint(trial, 10, (1, 2), 0.88, 0.01, 0.87, 0.89, 500, 100_000, 0.75)
    mark = _traces(front_chart(_picture(verified=[point]), "light"))["verified on the test part"]
    assert (list(mark.y), list(mark.error_y.array)) == ([88], [1])
    assert "88.00 \N{PLUS-MINUS SIGN} 1.00 %" in mark.text[0]
    assert "on the front: 75 %" in mark.text[0]
    # One that the filters leave out has none.
    others = np.flatnonzero(COLUMNS.number != 1)
    filtered = _picture(verified=[point], shown=others)
    assert "verified on the test part" not in _traces(front_chart(filtered, "light"))


def test_the_teacher_is_a_line() -> None:
    figure = front_chart(_picture(teacher_accuracy=0.95), "light")
    assert [shape.y0 for shape in figure.layout.shapes] == [95]
    assert [note.text for note in figure.layout.annotations] == ["teacher 95.00 %"]


def test_the_teachers_words_are_over_the_rings_of_who_is_as_good() -> None:
    columns = some_columns(
        ("COMPLETE", 0.95, 0.02), ("COMPLETE", 0.6, 0.01), ("COMPLETE", 0.9, 0.1)
    )
    scale = AccuracyScale.below(95, 100 * columns.accuracy, 0.1)
    for teacher, yshift, places in (
        (0.95, 11, ["bottom center", "top center"]),
        (0.99, 0, ["top center", "top center"]),
    ):
        picture = _picture(columns, teacher_accuracy=teacher, scale=scale, selected=(0, 1))
        picture = replace(picture, scale=replace(scale, teacher=100 * teacher))
        figure = front_chart(picture, "light")
        (words,) = figure.layout.annotations
        assert words.yshift == yshift
        (ring,) = (trace for trace in figure.data if trace.mode == "markers+text")
        assert list(ring.textposition) == places
    # Students to the right are beside the words.
    wide = some_columns(("COMPLETE", 0.6, 0.001), ("COMPLETE", 0.95, 0.1))
    picture = _picture(wide, teacher_accuracy=0.95, scale=scale)
    assert front_chart(picture, "light").layout.annotations[0].yshift == 0


def test_a_study_without_trials_has_axes() -> None:
    figure = front_chart(_picture(some_columns()), "dark")
    assert figure.layout.yaxis.range == (0, 100)


def test_ten_thousand_trials_are_sent_in_little() -> None:
    figure = plain_front_chart(_picture(many_columns(10_000)), "light")
    assert len(json.dumps(figure, separators=(",", ":"))) < 50_000
