"""A curve that never falls, whatever it is fitted to."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlgsearch.results.analysis.uncertainty.monotone_trend import fit, rises

values = st.lists(st.floats(-5, 5), min_size=1, max_size=60)


@given(x=values, data=st.data())
def test_it_never_falls(x: list[float], data: st.DataObject) -> None:
    places = np.sort(np.round(x, 3))
    z = np.array(data.draw(st.lists(st.floats(-8, 8), min_size=len(x), max_size=len(x))))
    trend = fit(rises(places), z, np.ones(len(x)))
    assert (np.diff(trend.values) >= -1e-9).all()
    assert np.isfinite(trend.log_evidence)


@pytest.mark.parametrize(("n", "columns"), [(1, 1), (2, 2), (15, 2), (16, 4), (40, 7), (500, 7)])
def test_few_places_have_a_line_and_many_a_curve(n: int, columns: int) -> None:
    x = np.linspace(-3, 2, n)
    basis = rises(x)
    assert basis.shape == (n, columns)
    assert (basis[:, 0] == 1).all()
    assert (np.diff(basis, axis=0) >= 0).all()
    if n > 1:
        assert basis[0, 1:] == pytest.approx(0)
        assert basis[-1, 1:] == pytest.approx(1)


def test_equal_places_have_a_level() -> None:
    trend = fit(rises(np.full(9, 0.5)), np.arange(9.0), np.ones(9))
    assert trend.values == pytest.approx(np.full(9, 4.0))


def test_it_follows_a_curve_that_rises_and_levels_off() -> None:
    x = np.linspace(0, 4, 80)
    curve = 4 - 6 * np.exp(-2 * x)
    trend = fit(rises(x), curve, np.full(80, 0.01))
    assert np.abs(trend.values - curve).max() < 0.2


def test_what_falls_is_fitted_by_its_mean() -> None:
    x = np.linspace(0, 1, 10)
    trend = fit(rises(x), -x, np.full(10, 0.01))
    assert trend.values == pytest.approx(np.full(10, -0.5), abs=1e-6)


def test_a_value_of_infinite_variance_has_no_part_in_it() -> None:
    x, z, variances = np.linspace(0, 1, 12), np.linspace(1, 2, 12), np.full(12, 0.1)
    variances[5] = np.inf
    other = z.copy()
    other[5] = -100.0
    basis = rises(x)
    assert fit(basis, z, variances).values == pytest.approx(fit(basis, other, variances).values)


def test_noisy_values_leave_more_doubt() -> None:
    x = np.linspace(0, 1, 30)
    basis = rises(x)
    sure, unsure = (fit(basis, x, np.full(30, v)).covariance for v in (0.01, 1.0))
    doubt = [np.einsum("np,pq,nq->n", basis, each, basis) for each in (sure, unsure)]
    assert (doubt[0] < doubt[1]).all()
