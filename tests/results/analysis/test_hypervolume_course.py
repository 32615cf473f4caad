"""The hypervolume after every point, against the hypervolume of each prefix."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlgsearch.results.analysis import hypervolume_course as module
from mlgsearch.results.analysis.front import Values, hypervolume
from mlgsearch.results.analysis.hypervolume_course import hypervolume_course

DIRECTIONS = [True, False, True]
REFERENCE = [0.0, 1.0, -0.25]
# A coarse grid makes equal points, and points on the reference.
STEPS = st.integers(-1, 5).map(lambda step: step / 4)


@given(
    block=st.sampled_from([1, 3, 256]),
    values=st.sampled_from([2, 3]).flatmap(
        lambda objectives: arrays(
            np.float64, st.tuples(st.integers(0, 12), st.just(objectives)), elements=STEPS
        )
    ),
)
def test_every_prefix_has_the_hypervolume_of_its_points(block: int, values: Values) -> None:
    sides = DIRECTIONS[: values.shape[1]], REFERENCE[: values.shape[1]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK", block)
        course = hypervolume_course(values, *sides)
    expected = [hypervolume(values[: end + 1], *sides) for end in range(len(values))]
    assert course == pytest.approx(expected, abs=1e-12)


def test_few_points_of_many_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[int] = []

    def counting(values: Values, *sides: object) -> float:
        measured.append(len(values))
        return hypervolume(values, *sides)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "hypervolume", counting)
    values = np.random.default_rng(0).random((1_000, 3))
    course = hypervolume_course(values, DIRECTIONS, REFERENCE)
    assert course[-1] == pytest.approx(hypervolume(values, DIRECTIONS, REFERENCE))
    assert len(measured) < 300
