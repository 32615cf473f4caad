"""The hypervolume after every trial, against the hypervolume of each prefix."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlgsearch.results import hypervolume_history as module
from mlgsearch.results.front import Values, hypervolume
from mlgsearch.results.hypervolume_history import hypervolume_history

DIRECTIONS = [True, False]
REFERENCE = [0.0, 1.0]
_points = arrays(
    np.float64,
    st.tuples(st.integers(0, 12), st.just(2)),
    # A coarse grid makes equal points, and points on the reference.
    elements=st.integers(-1, 5).map(lambda step: step / 4),
)


@pytest.mark.parametrize("chunk", [1, 3, 512])
@given(values=_points)
def test_every_prefix_has_the_hypervolume_of_its_points(chunk: int, values: Values) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CHUNK", chunk)
        rows, volumes = hypervolume_history(values, DIRECTIONS, REFERENCE)
    for end in range(1, len(values) + 1):
        known = volumes[rows < end]
        expected = hypervolume(values[:end], DIRECTIONS, REFERENCE)
        assert (known[-1] if len(known) else 0.0) == pytest.approx(expected, abs=1e-12)
    assert (np.diff(volumes, prepend=0.0) > 0).all()


def test_a_point_behind_the_reference_adds_nothing() -> None:
    rows, volumes = hypervolume_history(np.array([[-0.5, 0.5], [0.5, 0.5]]), DIRECTIONS, REFERENCE)
    assert (rows.tolist(), volumes.tolist()) == ([1], [0.25])


def test_three_objectives_work_the_same_way() -> None:
    values = np.array([[1.0, 1.0, 1.0], [2.0, 0.5, 1.0], [1.0, 1.0, 1.0]])
    rows, volumes = hypervolume_history(values, [True] * 3, [0.0] * 3)
    assert (rows.tolist(), volumes.tolist()) == ([0, 1], [1.0, 1.5])
