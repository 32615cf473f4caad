"""Ridge regression whose strength is the one with the least leave-one-out error.

scikit-learn's RidgeCV chooses the strength the same way, but does not return what is asked for here
of the strength it chose: how the slopes change where a trial is left out.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

#: Strengths that are tried, in the mean square of a feature, summed over the trials.
_STRENGTHS = tuple(10.0 ** (i / 2) for i in range(-6, 6))


@dataclass(frozen=True, eq=False)
class Ridge:
    """A fit of P centred features to n centred values.

    ``slopes`` (P,). ``pull`` (n, P) is what a value adds to the slopes, so that leaving trial i out
    takes ``pull[i] * residual[i]`` from them; ``residual`` (n,) is what is wrong of a trial that
    was left out, and ``missed`` the mean of its square.
    """

    slopes: Values
    pull: Values
    residual: Values
    missed: float


def fit_ridge(centred: Values, wanted: Values) -> Ridge:
    """Fit values (n,) by features (n, P), of which one at least varies.

    The mean is fitted too, which takes one trial's worth of freedom.
    """
    left, values, right = np.linalg.svd(centred, full_matrices=False)
    along = left.T @ wanted
    unit = float(np.square(values).sum()) / centred.shape[1]
    assert unit > 0, "no feature varies"
    best: tuple[float, Values, Values] | None = None
    for ridge in (strength * unit for strength in _STRENGTHS):
        shrunk = values**2 / (values**2 + ridge)
        leverage = np.square(left) @ shrunk + 1 / len(wanted)
        residual = (wanted - left @ (shrunk * along)) / np.maximum(1 - leverage, 1e-6)
        missed = float(np.square(residual).mean())
        if best is None or missed < best[0]:
            best = missed, residual, values / (values**2 + ridge)
    assert best is not None
    missed, residual, inverse = best
    return Ridge(right.T @ (inverse * along), (left * inverse) @ right, residual, missed)
