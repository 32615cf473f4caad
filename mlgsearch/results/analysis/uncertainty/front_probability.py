"""How likely a student is on the front, when its accuracy is known from a few seeds only."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

#: The standard error of a probability is at most half a point.
DRAWS = 10_000

#: How many degrees of freedom the pooled variance counts for, beside a student's own.
PRIOR_FREEDOM = 2


def front_probabilities(
    accuracies: Sequence[Sequence[float]],
    costs: Values,
) -> list[float] | None:
    """Estimate for each student how likely no other one dominates it.

    The accuracy that a student has on the mean over all seeds is not known, only its mean over a
    few. So it is drawn: 10,000 times, for each student on its own, from the distribution of such a
    mean, ``mean + s / sqrt(n) * t``. The variance ``s**2`` weighs the student's own,
    with ``n - 1`` degrees of freedom, and the one pooled over all students, with 2; ``t`` is
    Student's with the sum of both (Smyth 2004, "Linear models and empirical Bayes methods for
    assessing differential expression in microarray experiments", section 3). A student with one
    seed has the pooled variance alone. Costs are fixed. The share of draws in which no other
    student is at least as accurate and at least as cheap in all costs, and better in one, is the
    probability. Not in it: that the test part is itself a sample, which all students share.

    Args:
        accuracies: of each student, one value per seed.
        costs: fixed values of each student, shape (k, c); smaller is better, c may be 0.

    Returns:
        A probability for each of the k students; None where no student has two seeds, so that
        nothing is known about the spread.
    """
    assert len(accuracies) == len(costs)
    means = np.array([np.mean(values) for values in accuracies])  # (k,)
    counts = np.array([len(values) for values in accuracies])  # (k,)
    squares = np.array([np.var(values) * len(values) for values in accuracies])  # (k,)
    freedom = counts - 1
    if not freedom.sum():
        return None
    pooled = squares.sum() / freedom.sum()
    variances = (squares + PRIOR_FREEDOM * pooled) / (freedom + PRIOR_FREEDOM)  # (k,)
    t = np.random.default_rng(0).standard_t(
        freedom + PRIOR_FREEDOM, size=(DRAWS, len(means))
    )  # (D, k)
    drawn = means + np.sqrt(variances / counts) * t  # (D, k)
    return [1 - _dominated(drawn, costs, i) for i in range(len(means))]


def sample_std(values: Sequence[float]) -> float | None:
    """Return the standard deviation with n - 1 in it; None for a single value."""
    return None if len(values) < 2 else math.sqrt(float(np.var(values, ddof=1)))


def _dominated(drawn: Values, costs: Values, i: int) -> float:
    """Return the share of draws (D, k) in which another student dominates student ``i``."""
    is_no_dearer = (costs <= costs[i]).all(axis=1)  # (k,)
    is_no_dearer[i] = False
    is_cheaper = is_no_dearer & (costs < costs[i]).any(axis=1)  # (k,)
    own = drawn[:, i, None]  # (D, 1)
    beaten = (drawn[:, is_no_dearer] > own).any(axis=1)  # (D,)
    beaten |= (drawn[:, is_cheaper] >= own).any(axis=1)
    return float(beaten.mean())
