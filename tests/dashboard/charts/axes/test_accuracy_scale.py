"""How high accuracies stand in a chart."""

import numpy as np
import pytest

from dashboard.charts.axes.accuracy_scale import IN_PERCENT, AccuracyScale
from dashboard.parts.sketch import sketch
from dashboard.theme import template


def test_in_percent_a_height_is_the_accuracy() -> None:
    assert IN_PERCENT.heights(np.array([32.0, 99.0])).tolist() == [32.0, 99.0]
    assert IN_PERCENT.axis([90.0, 99.0], "validation accuracy")["ticksuffix"] == " %"


def test_the_last_points_have_as_much_room_as_the_first() -> None:
    scale = AccuracyScale(95.0, 0.1)
    ten, twenty, one, two = scale.heights(np.array([85.0, 75.0, 94.0, 93.0])).tolist()
    assert ten - twenty == pytest.approx(one - two)
    assert one > two > ten > twenty
    # As good as the teacher, or better: as high as what is hardly below it.
    best = scale.heights(np.array([94.9, 95.0, 97.0])).tolist()
    assert best == pytest.approx([1.0, 1.0, 1.0])
    assert np.isnan(scale.heights(np.array([np.nan])))


def test_the_teacher_stands_a_step_above_the_best() -> None:
    scale = AccuracyScale.below(95.0, np.array([np.nan, 60.0, 91.0, 96.0]), 0.02)
    assert (scale.teacher, scale.least) == (95.0, 2.0)
    assert AccuracyScale.below(95.0, np.array([94.99]), 0.5).least == 0.5  # one image
    assert AccuracyScale.below(95.0, np.array([]), 0.0).least == 1.0


def test_ticks_say_points_below_and_lie_where_they_say() -> None:
    scale = AccuracyScale(95.0, 0.5)
    axis = scale.axis(scale.heights(np.array([32.0, 94.0, 95.0])).tolist(), "accuracy")
    said = dict(zip(axis["ticktext"], axis["tickvals"], strict=True))
    assert list(said) == ["1", "2", "5", "10", "20", "50"]  # the teacher's line says itself
    assert said["10"] == pytest.approx(scale.height(85.0))
    assert axis["range"][0] < scale.height(32.0) < scale.height(95.0) < axis["range"][1]
    assert axis["title"]["text"] == "points below the teacher (log scale)"


def test_the_sketch_has_the_same_ticks() -> None:
    scale = AccuracyScale(95.0, 0.5)
    y = scale.axis([-1.5, 0.0], "accuracy")
    figure = {
        "data": [{"type": "scatter", "x": [None, 1], "y": [None, -1], "mode": "markers",
                  "marker": {"color": "#000000"}}],
        "layout": {"template": template("light"), "xaxis": {"range": [0, 2]}, "yaxis": y,
                   "margin": {"t": 1, "r": 1, "b": 1, "l": 1}},
    }  # fmt: skip
    drawn = repr(sketch(figure).nodes)
    assert "nan" not in drawn
    for words in y["ticktext"]:
        assert f"['{words}']" in drawn
