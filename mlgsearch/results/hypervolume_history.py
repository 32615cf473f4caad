"""How the hypervolume of a study grew, trial by trial."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mlgsearch.results.front import Values, hypervolume

#: Points that are held against the front at once, before those it does not dominate enter singly.
_CHUNK = 512


def hypervolume_history(
    values: Values, larger_is_better: Sequence[bool], reference: Sequence[float]
) -> tuple[npt.NDArray[np.int64], Values]:
    """Measure what the first 1, 2, ... points dominate, at each point that adds to it.

    Args:
        values: one point a row in the order they came, shape (n, m).
        larger_is_better: the direction of each of the m columns.
        reference: the worst value of each column.

    Returns:
        The rows of the k points after which the hypervolume was larger than before, ascending,
        and the hypervolume after each of them; both of shape (k,).

    Raises:
        ValueError: the shapes do not fit, or a value is NaN or infinite.
    """
    signs = np.where(larger_is_better, 1.0, -1.0)  # (m,)
    gains = (values - np.asarray(reference)) * signs  # (n, m), positive where better
    front = np.zeros((0, len(signs)))  # (f, m), gains of the front so far
    rows: list[int] = []
    volumes: list[float] = []
    for start in range(0, len(gains), _CHUNK):
        chunk = gains[start : start + _CHUNK]  # (c, m)
        is_covered = (front[None] >= chunk[:, None]).all(axis=2).any(axis=1)  # (c,)
        for row in start + np.flatnonzero(~is_covered & (chunk > 0).all(axis=1)):
            gain = gains[row]  # (m,)
            if (front >= gain).all(axis=1).any():
                continue
            front = np.vstack([front[~(front <= gain).all(axis=1)], gain])
            rows.append(int(row))
            volumes.append(hypervolume(front, [True] * len(signs), [0.0] * len(signs)))
    return np.asarray(rows, dtype=np.int64), np.asarray(volumes, dtype=np.float64)
