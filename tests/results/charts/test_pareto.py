"""What the chart draws, and that its file needs no network."""

import math
import re
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest

from mlgsearch.records import TrialRecord, TrialState
from mlgsearch.results.charts.pareto import pareto_chart, write_html
from tests.results.samples import a_complete, a_trial, some_sizes

PAIR = ("accuracy", "memory_ratio")


def _trials() -> list[TrialRecord]:
    return [
        a_complete(0, 0.8, 0.02),
        a_complete(1, 0.9, 0.1),
        a_complete(2, 0.7, 0.05, reused_from=0),
        a_trial(3, state=TrialState.PRUNED, accuracy=0.4, epochs_done=2, sizes=some_sizes(0.03)),
        a_trial(4, state=TrialState.FAIL, error="nan"),
        a_trial(5, state=TrialState.PRUNED),
        a_trial(6),
    ]


def _traces(figure: go.Figure) -> dict[str, Any]:
    return {trace.name or "steps": trace for trace in figure.data}


def test_every_kind_of_trial_has_its_shape() -> None:
    traces = _traces(pareto_chart(_trials(), PAIR, title="digits"))
    assert list(traces) == ["stopped early (1)", "complete (1)", "steps", "front (2)"]
    assert list(traces["front (2)"].y) == [80, 90]
    assert list(traces["complete (1)"].x) == [0.05]
    assert list(traces["stopped early (1)"].customdata) == [[3]]
    assert len({trace.marker.symbol for name, trace in traces.items() if name != "steps"}) == 2
    assert traces["front (2)"].marker.size > traces["complete (1)"].marker.size


def test_a_step_holds_until_a_better_trial_takes_over() -> None:
    steps = _traces(pareto_chart(_trials(), PAIR, title=""))["steps"]
    assert (list(steps.x), list(steps.y)) == ([0.02, 0.1], [80, 90])
    assert steps.line.shape == "hv"
    flipped = _traces(pareto_chart(_trials(), PAIR[::-1], title=""))["steps"]
    assert (list(flipped.x), flipped.line.shape) == ([80, 90], "vh")


def test_the_hover_reports_number_and_values() -> None:
    traces = _traces(pareto_chart(_trials(), PAIR, title=""))
    assert traces["front (2)"].text[0] == (
        "<b>trial 0</b><br>validation accuracy: 80.00 %<br>memory ratio: 0.0200"
        "<br>compression: \N{MULTIPLICATION SIGN}50.0"
    )
    assert "stopped after epoch 2 of 10" in traces["stopped early (1)"].text[0]
    assert "same training as trial 0" in traces["complete (1)"].text[0]


def test_the_teacher_is_a_line_whose_label_stands_outside_the_plot() -> None:
    figure = pareto_chart(_trials(), PAIR, title="", teacher_accuracy=0.9778)
    (line,), (label,) = figure.layout.shapes, figure.layout.annotations
    assert (line.y0, line.line.dash) == (pytest.approx(97.78), "dash")
    assert label.text == "teacher<br>97.78 %"
    assert (label.xref, label.x, label.xanchor) == ("x domain", 1, "left")


def test_everything_lies_inside_the_axes_and_the_ticks_are_round() -> None:
    figure = pareto_chart(_trials(), PAIR, title="", teacher_accuracy=0.9778)
    low, high = figure.layout.yaxis.range
    assert low < 40 < 97.78 < high
    low, high = figure.layout.xaxis.range
    assert low < math.log10(0.02) < math.log10(0.1) < high
    assert figure.layout.xaxis.type == "log"
    assert list(figure.layout.xaxis.tickvals) == [0.02, 0.05, 0.1]
    assert figure.layout.xaxis.ticktext[-1] == "0.1<br>\N{MULTIPLICATION SIGN}10"


@pytest.mark.parametrize("decades", [0.0, 0.01, 0.5, 1, 2, 3, 5, 9])
def test_a_log_axis_has_a_readable_number_of_ticks(decades: float) -> None:
    trials = [a_complete(0, 0.5, 0.9), a_complete(1, 0.5, 0.9 * 10**-decades)]
    figure = pareto_chart(trials, PAIR, title="")
    assert 2 <= len(figure.layout.xaxis.tickvals) <= 14


def test_one_trial_and_none_at_all_have_axes_too() -> None:
    figure = pareto_chart([a_complete(0, 0.9, 0.1)], PAIR, title="")
    assert figure.layout.yaxis.range == pytest.approx((89.5, 90.5))
    figure = pareto_chart([], PAIR, title="", teacher_accuracy=0.9)
    assert figure.layout.yaxis.range == (0, 100)
    assert "no trial has finished yet" in [note.text for note in figure.layout.annotations]


def test_other_objectives_are_drawn_the_same_way() -> None:
    names = ("loss", "generation_macs", "accuracy")
    figure = pareto_chart(_trials(), names, title="", teacher_accuracy=0.9)
    assert figure.layout.yaxis.title.text == "validation loss"
    assert figure.layout.xaxis.title.text == "MACs to rebuild the weights (log scale)"
    assert not figure.layout.shapes
    assert "validation accuracy: 90.00 %" in _traces(figure)["front (1)"].text[0]


def test_a_trial_without_a_value_to_draw_is_left_out() -> None:
    trials = [a_complete(n, 0.9 - n / 10, 0.1, packed_bytes=10 * n or None) for n in range(3)]
    traces = _traces(pareto_chart(trials, ("accuracy", "packed_bytes"), title=""))
    assert list(traces["front (1)"].customdata) == [[1]]
    assert list(traces["complete (1)"].customdata) == [[2]]


def test_a_chart_needs_two_objectives() -> None:
    with pytest.raises(ValueError, match=r"needs two objectives, got \['accuracy'\]"):
        pareto_chart([], ("accuracy",), title="")


def test_the_file_needs_no_network(tmp_path: Path) -> None:
    path = tmp_path / "front.html"
    figure = pareto_chart(_trials(), PAIR, title="a <b> & c", teacher_accuracy=0.97)
    write_html(figure, path)
    page = path.read_text(encoding="utf-8")
    assert "<title>a &lt;b&gt; &amp; c</title>" in page
    assert figure.layout.title.text == "a &lt;b&gt; &amp; c"
    assert len(page) > 1_000_000
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", page)
    assert all(trace.type == "scatter" for trace in figure.data)
