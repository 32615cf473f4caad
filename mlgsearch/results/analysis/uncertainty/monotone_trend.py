"""A smooth curve that never falls, fitted to noisy values; a straight line where there are few."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

Values = npt.NDArray[np.float64]

#: Prior standard deviations of the curve's level and of each of its rises, in the values' unit.
_LEVEL_STD, _RISE_STD = 10.0, 5.0

#: A rise more for so many values, up to the most.
_VALUES_A_RISE, _MOST_RISES = 8, 5

#: Rows of a matrix that are decomposed at once.
_BLOCK = 256

#: No variance is smaller: what has none at all fixes the curve.
_LEAST_VARIANCE = 1e-12


@dataclass(frozen=True, eq=False)
class Trend:
    """A curve fitted at n places with p coefficients.

    ``values`` has shape (n,): basis @ ``coefficients`` (p,), also for the basis of other places.
    ``covariance`` (p, p) is the coefficients', without regard to their bounds. ``log_evidence`` is
    the logarithm of how probable the fitted values are under their variances, up to a constant;
    larger is better.
    """

    values: Values
    coefficients: Values
    covariance: Values
    log_evidence: float


def rises(x: Values) -> Values:
    """Return the columns a level and rises, from 0 to 1 between neighbouring quantiles of ``x``.

    Sums of them with coefficients that are not negative never fall: I-splines of degree 2 (Ramsay
    1988, "Monotone regression splines in action"), smooth up to the first derivative.

    Args:
        x: places, shape (n,).

    Returns:
        shape (n, p): a column of ones first, and no rise where all places are equal.
    """
    level = np.ones((len(x), 1))
    if not len(x) or x.max() <= x.min():
        return level
    count = min(_MOST_RISES, max(1, len(np.unique(x)) // _VALUES_A_RISE))
    inner = np.quantile(x, np.linspace(0, 1, count + 1)[1:-1])
    knots = np.unique([x.min(), *inner, x.max()])
    if len(knots) == 2:
        return np.column_stack([level, (x - knots[0]) / (knots[1] - knots[0])])
    # Each rise reaches over two intervals; the first and last are over one at the ends.
    ends = np.array([knots[0], *knots, knots[-1]])
    columns = [_rise(x, *ends[i : i + 3]) for i in range(len(ends) - 2)]
    return np.column_stack([level, *columns])


def fit(basis: Values, values: Values, variances: Values) -> Trend:
    """Fit a curve that never falls.

    The most probable coefficients, the rises being at least 0, under weak normal priors; least
    squares weighted by 1 / variance.

    Args:
        basis: of `rises`, shape (n, p).
        values: shape (n,).
        variances: of each value about the curve, shape (n,); infinite for one that is left out.
    """
    used = np.isfinite(variances)
    weights = 1 / np.maximum(variances[used], _LEAST_VARIANCE)
    centre = np.average(values[used], weights=weights)
    count = basis.shape[1]
    prior = np.full(count, _RISE_STD)
    prior[0] = _LEVEL_STD
    system = np.zeros((len(weights) + count, count + 1))
    system[: len(weights), :count] = basis[used]
    system[: len(weights), count] = values[used] - centre
    system[: len(weights)] *= np.sqrt(weights)[:, None]
    system[len(weights) :, :count] = np.diag(1 / prior)
    triangle = _triangle(system)
    system, wanted = triangle[:, :count], triangle[:, count]
    # The level may be negative: it is written as a difference of two columns.
    signed, _ = nnls(np.column_stack([system, -system[:, 0]]), wanted)
    coefficients = signed[:-1]
    coefficients[0] -= signed[-1]
    precision = system.T @ system
    misfit = wanted - system @ coefficients
    evidence = 0.5 * (np.log(weights).sum() - misfit @ misfit - np.linalg.slogdet(precision)[1])
    coefficients[0] += centre
    fitted = np.asarray(basis @ coefficients, dtype=np.float64)
    covariance = np.asarray(np.linalg.inv(precision), dtype=np.float64)
    return Trend(fitted, coefficients, covariance, float(evidence))


def _triangle(rows: Values) -> Values:
    """Return the R of a QR decomposition of tall ``rows``: it has the same least squares.

    Block by block (TSQR; Demmel et al. 2012, "Communication-optimal parallel and sequential QR"),
    which is a small part of the time of one decomposition of thousands of rows.
    """
    while len(rows) > 2 * _BLOCK:
        padded = np.zeros((-(-len(rows) // _BLOCK), _BLOCK, rows.shape[1]))
        padded.reshape(-1, rows.shape[1])[: len(rows)] = rows
        rows = np.asarray(np.linalg.qr(padded, mode="r")).reshape(-1, rows.shape[1])
    return np.asarray(np.linalg.qr(rows, mode="r"))


def _rise(x: Values, start: float, middle: float, end: float) -> Values:
    """Return the integral of a hat from ``start`` over ``middle`` to ``end``, scaled to reach 1."""
    width = end - start
    risen = np.zeros(len(x))
    if middle > start:
        up = np.clip(x, start, middle) - start
        risen += up**2 / (width * (middle - start))
    if end > middle:
        left = end - np.clip(x, middle, end)
        risen += (end - middle) / width - left**2 / (width * (end - middle))
    return risen
