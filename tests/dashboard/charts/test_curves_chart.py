"""Learning curves beside each other."""

import math
from typing import Any

import plotly.graph_objects as go

from dashboard.charts.curves_chart import curves_chart
from dashboard.charts.learning_chart import learning_chart, learning_summary
from dashboard.pages.study.data import tell_curves, without_curves
from mlgsearch.records import TrialState
from tests.results.samples import an_epoch


def _drawn(*arguments: Any, **named: Any) -> go.Figure:
    """Have plotly look a chart through."""
    return go.Figure(curves_chart(*arguments, **named))


def test_a_selected_trial_has_the_colour_of_its_place_and_a_gap_where_nothing_is_known() -> None:
    epochs = [an_epoch(1), an_epoch(2, validation_accuracy=math.nan), an_epoch(3)]
    figure = _drawn({4: epochs, 9: [an_epoch(1)]}, (9, 7, 4), "light", teacher_accuracy=0.9)
    nine, four = figure.data
    assert (nine.name, four.name) == ("trial 9", "trial 4")
    assert list(four.y) == [80, None, 80]
    assert nine.line.color != four.line.color
    without = _drawn({4: epochs}, (9, 7, 4), "light")
    assert without.data[0].line.color == four.line.color
    assert [shape.y0 for shape in figure.layout.shapes] == [90]


def test_without_a_curve_there_are_no_axes_but_a_word() -> None:
    figure = _drawn({}, (3,), "dark", teacher_accuracy=0.9)
    assert figure.layout.xaxis.visible is False
    assert not figure.layout.shapes
    (word,) = figure.layout.annotations
    (other,) = _drawn({}, (), "dark", empty=without_curves((), ())).layout.annotations
    assert (word.text, other.text[:13]) == ("no epoch is known yet", "select trials")


def test_selected_trials_that_the_filters_leave_out_are_said_to_be_so() -> None:
    curves = {4: [an_epoch(1)]}
    assert without_curves((4, 7), ()) == "the filters leave out what is selected"
    assert tell_curves({}, (4, 7), ()) == "The filters leave out what is selected."
    assert without_curves((7,), (7,)) == "no epoch is known yet"
    assert "trial 7" not in tell_curves(curves, (4, 7), (4,))
    assert "No epoch is known of trial 7." in tell_curves(curves, (4, 7), (4, 7))


def test_selected_trials_that_failed_are_said_to_have() -> None:
    assert without_curves((7,), (7,), [7]) == "failed before an epoch was finished"
    assert without_curves((7, 8), (7, 8), [7]) == "no epoch is known yet"
    assert tell_curves({4: [an_epoch(1)]}, (4, 7, 8), (4, 7, 8), [7]) == (
        "Validation accuracy: trial 4 80.00 % after epoch 1. No epoch is known of trial 8. "
        "Failed before an epoch was finished: trial 7."
    )


def test_an_axis_of_epochs_names_each_once() -> None:
    for epochs, between in ((3, 1), (10, 2), (200, 33)):
        curve = [an_epoch(epoch) for epoch in range(1, epochs + 1)]
        axis = _drawn({0: curve}, (0,), "light").layout.xaxis
        assert (axis.dtick, list(axis.range)) == (between, [0.5, epochs + 0.5])


def test_a_trial_that_failed_at_once_has_no_axes_and_says_so() -> None:
    figure = learning_chart([], "light", epochs_wanted=10, state=TrialState.FAIL)
    (word,) = figure.layout.annotations
    assert word.text == "the trial failed before an epoch was finished"
    axes = [figure.layout[name].visible for name in ("xaxis", "xaxis2", "yaxis", "yaxis2")]
    assert axes == [False] * 4
    said = learning_summary([], TrialState.FAIL)
    assert said == "The trial failed before an epoch was finished."
    (word,) = learning_chart([], "light", epochs_wanted=10).layout.annotations
    assert word.text == "no epoch is finished yet"
    assert learning_summary([]) == "No epoch is finished yet."
    lost = [an_epoch(1, validation_accuracy=math.nan)]
    assert learning_summary(lost) == "No epoch has a validation accuracy that is a number."
