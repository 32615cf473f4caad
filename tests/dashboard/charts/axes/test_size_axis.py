"""The sizes that can be drawn to the right."""

import numpy as np
import pytest

from dashboard.charts.axes.size_axis import DEFAULT_AXIS, SIZE_AXES, sizes_offered
from mlgsearch.records import OBJECTIVES
from tests.dashboard.columns import some_columns

COLUMNS = some_columns(("COMPLETE", 0.9, 0.05), ("PRUNED", 0.5, 0.02))


def test_names_are_those_of_the_axes() -> None:
    assert all(axis.shown.name == name for name, axis in SIZE_AXES.items())
    assert DEFAULT_AXIS in SIZE_AXES


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("memory_ratio", [0.05, 0.02]),
        ("packed_bytes", [50_000, np.nan]),
        ("packed_kb", [50, np.nan]),
        ("execution_macs", [2, 2]),
    ],
)
def test_values_are_in_the_axis_s_unit(name: str, values: list[float]) -> None:
    assert SIZE_AXES[name].values(COLUMNS).tolist() == pytest.approx(values, nan_ok=True)


def test_values_are_written_with_their_unit() -> None:
    times = "\N{MULTIPLICATION SIGN}"
    assert SIZE_AXES["memory_ratio"].write(0.02) == f"0.0200 ({times}50.0 smaller)"
    assert SIZE_AXES["packed_kb"].write(1234.5) == "1,234.5 KB"
    assert SIZE_AXES["packed_bytes"].write(1234) == "1,234 bytes"
    assert SIZE_AXES["execution_macs"].write(1234567) == "1.23e+06"
    assert SIZE_AXES["loss"].write(0.25) == "0.2500"


def test_every_objective_has_an_axis_and_the_loss_where_it_is_one() -> None:
    assert {axis.objective for axis in SIZE_AXES.values()} == set(OBJECTIVES) - {"accuracy"}
    assert "loss" not in sizes_offered()
    assert sizes_offered(("accuracy", "memory_ratio", "loss"))["loss"] == "validation loss"
    assert set(sizes_offered()) == set(SIZE_AXES) - {"loss"}
