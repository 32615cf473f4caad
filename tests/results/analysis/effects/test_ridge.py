"""The fit, against leaving every trial out and fitting again, and against scikit-learn's."""

import numpy as np
import pytest
from sklearn.linear_model import RidgeCV

from mlgsearch.results.analysis.effects.ridge import _STRENGTHS, fit_ridge


@pytest.mark.parametrize(("trials", "features"), [(30, 4), (12, 40)])
def test_it_chooses_as_scikit_learn_does(trials: int, features: int) -> None:
    draw = np.random.default_rng(features)
    x = draw.normal(size=(trials, features))
    y = x[:, :2] @ [0.3, -0.2] + 0.1 * draw.normal(size=trials)
    x, y = x - x.mean(0), y - y.mean()
    unit = np.square(x).sum() / features
    other = RidgeCV(alphas=[strength * unit for strength in _STRENGTHS]).fit(x, y)
    found = fit_ridge(x, y)
    np.testing.assert_allclose(found.slopes, other.coef_, rtol=1e-6, atol=1e-9)
    assert found.missed == pytest.approx(-other.best_score_, rel=1e-6)


def test_a_trial_that_is_left_out_takes_its_pull_with_it() -> None:
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(20, 3)), draw.normal(size=20)
    x, y = x - x.mean(0), y - y.mean()
    found = fit_ridge(x, y)
    gram = x.T @ x
    inverse = np.linalg.lstsq(found.pull, x, rcond=None)[
        0
    ]  # the gram with the ridge that was chosen
    ridge = float(np.trace(inverse - gram)) / 3
    for trial in range(20):
        kept = np.arange(20) != trial
        # Without the trial, but centred as with it: as the mean is fitted too.
        mean_x, mean_y = x[kept].mean(0), y[kept].mean()
        left_x, left_y = x[kept] - mean_x, y[kept] - mean_y
        slopes = np.linalg.solve(left_x.T @ left_x + ridge * np.eye(3), left_x.T @ left_y)
        wrong = y[trial] - mean_y - (x[trial] - mean_x) @ slopes
        assert found.residual[trial] == pytest.approx(wrong, rel=1e-6)
        expected = found.slopes - found.pull[trial] * found.residual[trial]
        np.testing.assert_allclose(slopes, expected, rtol=1e-6, atol=1e-9)
