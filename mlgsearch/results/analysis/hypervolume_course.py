"""How the hypervolume grew, point by point."""

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mlgsearch.results.analysis.front import hypervolume

#: Points that are compared with the front at once.
_BLOCK = 256


def hypervolume_course(
    values: NDArray[np.float64], larger_is_better: Sequence[bool], reference: Sequence[float]
) -> NDArray[np.float64]:
    """Return the hypervolume of the first 1, 2, ... n points; it never falls.

    Two columns are followed step by step; of more, only a point that the front before it does not
    cover is measured: 10,000 trials have some hundreds of those.

    Args:
        values: one point per row, shape (n, m), finite.
        larger_is_better: the direction of each of the m columns.
        reference: the worst value of each column; a point that is not better in every one
            contributes nothing.

    Returns:
        shape (n,).
    """
    signs = np.where(larger_is_better, 1.0, -1.0)
    # Everything as gains over the reference: larger is better, and the corner is 0.
    gains = (values - np.asarray(reference)) * signs  # (n, m)
    if gains.shape[1] == 2:
        return _area_course(gains)
    course = np.zeros(len(gains))
    front = np.empty((0, gains.shape[1]))
    volume = 0.0
    for start in range(0, len(gains), _BLOCK):
        block = gains[start : start + _BLOCK]
        fresh = (block > 0).all(axis=1) & ~_is_covered(block, front)
        done = 0
        for at in np.flatnonzero(fresh).tolist():
            point = block[at]
            if _is_covered(point[None], front)[0]:  # by one of the same block
                continue
            course[start + done : start + at] = volume
            done = at
            front = np.vstack([front[~(front <= point).all(axis=1)], point])
            volume = hypervolume(front, [True] * len(signs), [0.0] * len(signs))
        course[start + done : start + len(block)] = volume
    return course


def _area_course(gains: NDArray[np.float64]) -> NDArray[np.float64]:
    """Follow the area under the staircase of (n, 2) gains: 10,000 at random take a millisecond."""
    course = np.zeros(len(gains))
    # The front's corners: widths rise, heights fall. Each holds to the left, up to the one before.
    widths: list[float] = []
    heights: list[float] = []
    area = 0.0
    done = 0
    for start in range(0, len(gains), _BLOCK):
        block = gains[start : start + _BLOCK]
        reached = np.append(heights, 0.0)[np.searchsorted(widths, block[:, 0])]
        fresh = (block[:, 0] > 0) & (block[:, 1] > reached)
        for at in (start + np.flatnonzero(fresh)).tolist():
            width, height = gains[at].tolist()
            right = bisect_left(widths, width)
            above = heights[right] if right < len(heights) else 0.0
            if height <= above:  # one of the same block covers it
                continue
            course[done:at] = area
            done = at
            # What it dominates lies side by side: those before it, and one as wide.
            end = right + (right < len(widths) and widths[right] == width)
            begin = right
            while begin and heights[begin - 1] <= height:
                begin -= 1
            left = widths[begin - 1] if begin else 0.0
            area += (width - left) * height
            for i in range(begin, end):
                area -= (widths[i] - left) * heights[i]
                left = widths[i]
            if left < width:  # up to here the next corner reached
                area -= (width - left) * above
            widths[begin:end], heights[begin:end] = [width], [height]
    course[done:] = area
    return course


def _is_covered(points: NDArray[np.float64], front: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which of (k, m) points one of (f, m) is at least as good as in everything."""
    at_least = front[None] >= points[:, None]  # (k, f, m)
    covered: NDArray[np.bool_] = np.any(np.all(at_least, axis=2), axis=1)
    return covered
