"""Charts with a row per layer: what they draw, say, and leave out."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from dashboard.charts.layers.importance_chart import importance_chart, importance_summary
from dashboard.charts.layers.layer_bytes import layer_bytes_chart, layer_bytes_summary
from dashboard.charts.layers.layer_measure import MEASURES, available
from dashboard.charts.layers.layers_chart import (
    MOST_COLUMNS,
    columns_shown,
    layers_chart,
    layers_summary,
    least_width,
)
from dashboard.charts.layers.scan_chart import is_area, present, scan_chart, scan_summary
from dashboard.parts.values.student import Student, written_bytes
from mlgsearch.records import LayerRecord
from mlgsearch.results.analysis.effects.importance import Importance, LayerImportance
from mlgsearch.results.analysis.grid_scan import GridScan
from mlgsearch.results.read.layer_grid import LayerGrid
from mlgsearch.words import TIMES
from tests.dashboard.vision import contrast

NASTY = "<b>layer</b>&1"
STUDENTS = (Student(7, 0.8, 0.01, 1_000), Student(3, 0.9, 0.02, 2_500))


def a_grid(*, has_bits: bool = True) -> LayerGrid:
    """Two trials of three layers; the second layer has no level 1 in the first trial."""
    settings = [
        [[2, 8, 3, 6, 3], [0, 8, 3, 0, 3], [0, 0, 8, 0, 0]],
        [[2, 8, 3, 6, 3], [4, 8, 3, 6, 3], [0, 0, 8, 0, 0]],
    ]
    bits = np.array([[800.0, 1600.0, 80.0], [800.0, 6400.0, 80.0]])
    names = ("conv1", NASTY, "fc")
    return LayerGrid(
        layers=names,
        numbers=(7, 3),
        settings=np.array(settings),
        bits=bits if has_bits else np.full((2, 3), np.nan),
        damage=np.full((2, 3), np.nan),
        errors=np.full((2, 3), np.nan),
        records=tuple(
            LayerRecord(name, "conv", TIMES.join("88"), 100, 3200, True) for name in names
        )
        if has_bits
        else (),
    )


def lists(rows: Iterable[Iterable[object]]) -> list[list[object]]:
    return [list(row) for row in rows]


def test_rows_are_layers_and_columns_are_students() -> None:
    figure = layers_chart(a_grid(), STUDENTS, MEASURES["bits"], "light", selected=3)
    cells, *_ = figure.data
    assert cells.z == pytest.approx(np.log2(np.array([[8, 8], [16, 64], [0.8, 0.8]])), abs=1e-3)
    assert [row[0][0] for row in cells.customdata] == [7, 7, 7]
    assert list(cells.customdata[1][1]) == [3, 4, 8, 3, 6, 3, 800.0, 64.0]
    headings = ["<b>1.00 KB</b><br>80.00 %", "<b>2.50 KB</b><br>90.00 %"]
    assert list(figure.layout.xaxis.ticktext) == headings
    frame = figure.layout.shapes[-1]
    assert (frame.x0, frame.x1) == (0.5, 1.5)


def test_names_are_shown_as_they_are_written() -> None:
    for figure in (
        layers_chart(a_grid(), STUDENTS, MEASURES["bits"], "dark"),
        layer_bytes_chart(a_grid(), STUDENTS[0], "dark", top=50),
    ):
        assert "<b>layer" not in figure.to_json().replace("\\u003c", "<")


def test_a_level_that_is_absent_is_no_small_value() -> None:
    grid, measure = a_grid(), MEASURES["B_in"]
    cells, *inked = layers_chart(grid, STUDENTS, measure, "light").data
    assert np.isnan(measure.coloured(grid)[0, 1])
    assert list(cells.z[1]) == [cells.zmin, 4.0]
    assert cells.zmin < 2 == min(cells.z[0])
    assert "".join(words for trace in inked for words in trace.text[1]) == "\N{EN DASH}4"
    begin = cells.colorscale[1][0]
    assert cells.colorscale[0][1] == cells.colorscale[1][1] != cells.colorscale[2][1]
    assert cells.zmin + begin * (cells.zmax - cells.zmin) == pytest.approx(2)
    assert cells.colorbar.ticktext[0] == "absent"


def test_a_change_is_told_against_the_student_to_the_left() -> None:
    grid, measure = a_grid(), MEASURES["change"]
    cells, *_ = layers_chart(grid, STUDENTS, measure, "light").data
    assert lists(cells.z) == [[None, 0.0], [None, 2.0], [None, 0.0]]
    assert (cells.zmin, cells.zmax) == (-2, 2)
    assert "changes most" not in layers_summary(grid.at([0]), measure, front_size=1)


def test_only_what_is_stored_is_offered() -> None:
    assert {m.name for m in available(a_grid())} == set(MEASURES) - {"damage"}
    names = [measure.name for measure in available(a_grid(has_bits=False))]
    assert names == ["B_in", "B_out", "q_basis", "q_coeff_in", "q_coeff_out"]
    for measure in available(a_grid(has_bits=False)):
        layers_chart(a_grid(has_bits=False), STUDENTS, measure, "light")


def test_many_students_are_thinned_with_both_ends() -> None:
    assert columns_shown(3) == [0, 1, 2]
    shown = columns_shown(1000)
    assert (shown[0], shown[-1], len(set(shown))) == (0, 999, MOST_COLUMNS)


def test_a_column_has_room_for_its_values_and_its_heading() -> None:
    figure = layers_chart(a_grid(), STUDENTS, MEASURES["bits"], "light")
    around = figure.layout.margin.l + figure.layout.margin.r
    assert least_width(figure, 2) == around + 2 * 52  # two lines of heading
    words = {word for trace in figure.data[1:] for row in trace.text for word in row}
    letters = max(len(word) - 0.5 * word.count(".") for word in words)  # a point is narrow
    assert least_width(figure, 9) == around + 9 * (round(6 * letters) + 8)
    figure.data = figure.data[:1]
    assert least_width(figure, 9) == around + 9 * 18


def test_summaries_say_what_is_to_be_seen() -> None:
    said = layers_summary(a_grid(), MEASURES["bits"], front_size=9)
    assert said == (
        "Bits per weight of 3 layers in 2 of the 9 students of the front: from 0.80 to 64; "
        f"{NASTY} changes most along the front."
    )
    said = layer_bytes_summary(a_grid(), 3)
    assert f": {NASTY} (800 B, 88%)" in said
    assert "Most compressed: fc, \N{MULTIPLICATION SIGN}40 smaller." in said
    assert "not all are known" in layer_bytes_summary(a_grid(has_bits=False), 3)


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (7, "7 B"),
        (999.4, "999 B"),
        (999.6, "1.00 KB"),
        (53_624, "53.6 KB"),
        (123_456, "123 KB"),
        (4_396_000, "4.40 MB"),
    ],
)
def test_bytes_are_written_in_three_digits(count: float, said: str) -> None:
    assert written_bytes(count) == said


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("measure", ["bits", "B_in", "change"])
def test_values_are_written_in_the_ink_of_their_cell(scheme: Any, measure: str) -> None:
    cells, *inked = layers_chart(a_grid(), STUDENTS, MEASURES[measure], scheme).data
    places, hues = zip(*cells.colorscale, strict=True)
    channels = np.array([[int(hue[i : i + 2], 16) for i in (1, 3, 5)] for hue in hues])
    known = np.array(cells.z, dtype=float)
    written = np.zeros(known.shape, dtype=int)
    for trace in inked:
        own = np.array(trace.text) != ""
        assert np.array_equal(own, np.isfinite(np.array(trace.z, dtype=float)))
        written += own
        for value in known[own]:
            share = (value - cells.zmin) / (cells.zmax - cells.zmin)
            fill = [np.interp(share, places, channel) for channel in channels.T]
            paper = "#" + "".join(f"{round(part):02X}" for part in fill)
            assert contrast(trace.textfont.color, paper) >= 4.4  # the paper was rounded once more
    assert np.array_equal(written, np.isfinite(known).astype(int))
    assert len({max(len(words) for row in trace.text for words in row) for trace in inked}) == 1


def a_scan(*, has_none: bool = False) -> GridScan:
    accuracy = np.array([[0.5, 0.6], [0.7, 0.8], [0.75, np.nan]])
    return GridScan(
        base_in=np.array([0 if has_none else 1, 2]),
        base_out=np.array([8, 16, 32]),
        trials=np.array([[1, 1], [1, 2], [1, 0]]),
        accuracy=accuracy,
        memory_ratio=accuracy / 100,
    )


def test_a_scan_has_contours_and_a_dot_where_trials_were() -> None:
    contours, dots, ratios, _ = scan_chart(a_scan(), "light").data
    assert lists(contours.z) == [[50.0, 70.0, 75.0], [60.0, 80.0, None]]
    assert list(ratios.z[0]) == [0.005, 0.007, 0.0075]
    assert list(zip(dots.y, dots.x, strict=True)) == [(1, 8), (1, 16), (1, 32), (2, 8), (2, 16)]
    assert scan_summary(a_scan()) == (
        "5 points of 2 by 3 tried, 6 trials: the most accurate has B_in 2 and B_out 16, 80.00 % "
        "at memory ratio 0.0080."
    )


def test_a_level_that_no_layer_has_is_no_place_in_a_scan() -> None:
    left = present(a_scan(has_none=True))
    assert left.base_in.tolist() == [2]
    assert left.accuracy.shape == (3, 1)
    assert is_area(a_scan())
    assert not is_area(left)


def an_importance(trials: int = 30) -> Importance:
    layers = (
        LayerImportance("conv1", 0.02, 0.015, 0.025, 0.01),
        LayerImportance(NASTY, 0.001, -0.001, 0.003, None),
        # Wholly below 0: on trials that were left out it predicts worse than nothing.
        LayerImportance("fc", -0.01, -0.015, -0.005, None),
    )
    return Importance(layers, trials, 0.8, features=15)


def test_clear_layers_differ_from_others_in_shape_and_colour() -> None:
    clear, others, bars = importance_chart(
        an_importance(), [2, 0, 1], np.array([0.3, 0.1, 0.0]), "light"
    ).data
    assert [list(clear.x), list(clear.y), list(clear.error_x.array)] == [[2.0], [1], [0.5]]
    assert list(others.y) == [0, 2]
    assert clear.marker.symbol != others.marker.symbol
    assert list(bars.x) == [0.0, 30.0, 10.0]
    assert "&lt;b&gt;layer" in others.text[1]
    assert importance_summary(an_importance()) == (
        "Accuracy was moved most by conv1 (2.00 points)."
    )


def test_with_too_few_trials_no_layer_is_named() -> None:
    few = an_importance(trials=29)
    clear, others, _ = importance_chart(few, [0, 1, 2], np.array([0.3, 0.1, np.nan]), "light").data
    assert (list(clear.y), list(others.y)) == ([], [0, 1, 2])
    assert importance_summary(few) == "There are too few trials to name what moved accuracy."
