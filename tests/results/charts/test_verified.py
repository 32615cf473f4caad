"""What the chart of verified students draws."""

import pytest

from mlgsearch.results.analysis.uncertainty.verification import VerifiedPoint, verified_points
from mlgsearch.results.charts.verified import verified_chart
from tests.results.samples import a_complete, a_verification

PAIR = ("memory_ratio", "accuracy")


def _points(*seeds: int, epochs: int = 10) -> list[VerifiedPoint]:
    trials = [a_complete(0, 0.9, 0.05), a_complete(1, 0.8, 0.01)]
    runs = [
        a_verification(t, seed, 0.8 + seed / 100, epochs=epochs) for t in (0, 1) for seed in seeds
    ]
    return verified_points(trials, runs, PAIR)


def test_a_bar_is_a_standard_deviation_both_ways() -> None:
    (trace,) = verified_chart(_points(1, 3), PAIR, title="digits").data
    assert list(trace.x) == [0.01, 0.05]
    assert list(trace.y) == pytest.approx([82, 82])
    assert list(trace.error_y.array) == pytest.approx([2**0.5] * 2)
    assert list(trace.customdata) == [[1], [0]]
    assert trace.name == "10 epochs (2)"


def test_the_hover_reports_what_is_known() -> None:
    (trace,) = verified_chart(_points(1, 3), PAIR, title="digits").data
    assert trace.text[0] == (
        "<b>trial 1</b>, 2 seeds<br>test accuracy: 82.00 \N{PLUS-MINUS SIGN} 1.41 %"
        "<br>from the packed file: 82.00 %<br>validation accuracy: 91.00 %<br>on the front: 100 %"
        "<br>memory ratio: 0.01<br>\N{MULTIPLICATION SIGN}100.0 smaller"
    )
    (trace,) = verified_chart(_points(1), PAIR, title="digits").data
    assert trace.text[0].startswith("<b>trial 1</b>, 1 seed<br>test accuracy: 81.00 %<br>from")
    assert "on the front" not in trace.text[0]


def test_a_point_is_the_fuller_the_likelier() -> None:
    (trace,) = verified_chart(_points(1, 3), PAIR, title="digits").data
    sure, even = trace.marker.color
    assert sure == "#0072B2"
    assert all(int(even[i : i + 2], 16) > int(sure[i : i + 2], 16) for i in (1, 3, 5))
    (trace,) = verified_chart(_points(1), PAIR, title="digits").data
    assert set(trace.marker.color) == {"#FFFFFF"}


def test_bars_and_teacher_lie_inside_the_axes() -> None:
    figure = verified_chart(_points(1, 3), PAIR, title="a <b>", teacher_accuracy=0.96)
    low, high = figure.layout.yaxis.range
    assert low < 82 - 2**0.5
    assert high > 96
    assert figure.layout.yaxis.title.text == "test accuracy"
    assert figure.layout.title.text == "a &lt;b&gt;"
    assert figure.layout.annotations[0].text == "teacher<br>96.00 %"


def test_lengths_of_training_have_shapes_of_their_own() -> None:
    points = [*_points(1, 2, epochs=1), *_points(1, 2, epochs=20)]
    short, long = verified_chart(points, ("accuracy", "loss"), title="").data
    assert (short.name, long.name) == ("1 epoch (2)", "20 epochs (2)")
    assert short.marker.symbol != long.marker.symbol


def test_nothing_verified_is_reported() -> None:
    figure = verified_chart([], PAIR, title="", teacher_accuracy=0.9)
    assert "no trial is verified yet" in [note.text for note in figure.layout.annotations]
