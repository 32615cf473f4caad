"""A zoom in an address."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.charts.axes.size_axis import SIZE_AXES
from dashboard.charts.axes.zoom import read_zoom

_ends = st.floats(-90, 90)


@given(x=st.tuples(_ends, _ends), y=st.tuples(_ends, _ends), name=st.sampled_from(list(SIZE_AXES)))
def test_what_is_written_is_read(x: tuple[float, float], y: tuple[float, float], name: str) -> None:
    zoom = (*x, *y)
    read = read_zoom("_".join([name, *map(repr, zoom)]), SIZE_AXES[name])
    assert read == (zoom if x[1] - x[0] > 1e-9 and y[1] - y[0] > 1e-9 else None)


@pytest.mark.parametrize(
    "text",
    ["", "1_2_3_4", "memory_ratio_1_2_3", "memory_ratio_a_2_3_4", "memory_ratio_nan_2_3_4",
     "memory_ratio_1_inf_3_4", "packed_kb_1_2_3_4", "memory_ratio_2_1_3_4", "<script>",
     "memory_ratio_-2_400_0_100", "memory_ratio_-2_-1_0_5e-324", "memory_ratio_1_1_3_4"],
)  # fmt: skip
def test_what_is_no_zoom_of_this_axis_is_none(text: str) -> None:
    assert read_zoom(text, SIZE_AXES["memory_ratio"]) is None
