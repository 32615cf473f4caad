"""A mass of points as an image."""

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dashboard.charts.density import CELLS, density
from mlgsearch.results.charts.layout import blend

_some = st.lists(st.floats(1e-3, 1.0), min_size=1, max_size=50)


@given(x=_some, is_log_x=st.booleans())
@example(x=[1.0, 0.99609375], is_log_x=False)
@example(x=[1.0, 0.9999999999999999], is_log_x=False)
def test_every_point_is_counted_in_one_cell(x: list[float], is_log_x: bool) -> None:
    picture = go.Heatmap(
        density(
            np.array(x),
            np.linspace(0, 100, len(x)),
            colours=("#000000", "#FFFFFF"),
            name="",
            is_log_x=is_log_x,
        )
    )
    cells = [count for row in picture.z for count in row]
    assert sum(count or 0 for count in cells) == len(x)
    assert (len(picture.x), len(picture.y)) == (CELLS[0] + 1, CELLS[1] + 1)
    assert len(cells) == CELLS[0] * CELLS[1]
    assert min(picture.x) < min(x) <= max(x) < max(picture.x)


def test_an_empty_cell_is_not_drawn_and_equal_factors_are_equal_steps() -> None:
    x = np.array([0.01] * 100 + [0.1])
    picture = go.Heatmap(density(x, x, colours=("#000000", "#FFFFFF"), name="mass", is_log_x=True))
    assert {count for row in picture.z for count in row} == {None, 1, 100}
    places = np.array([place for place, _ in picture.colorscale])
    assert (places[0], places[-1]) == (0, 1)
    assert np.diff(np.log(1 + 99 * places)) == pytest.approx(np.log(100) / 5)
    assert [colour for _, colour in picture.colorscale][::5] == ["#000000", "#FFFFFF"]


def test_colours_mix() -> None:
    assert blend("#000000", "#FF8000", 0.5) == "#804000"
