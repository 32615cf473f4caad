"""How much of a factor few bits lose, measured with the real quantisers on samples of it."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlgsearch.mlg.quantise import Method, make_quantiser, spread_sample

#: Entries of a factor that a quantiser is tried on.
_SAMPLE = 4096

#: How many numbers of bases a level's noise is measured at; between them it is interpolated.
_POINTS = 3

#: No noise is taken to be smaller: its logarithm is interpolated.
_LEAST = 1e-12


@torch.no_grad()
def relative_noise(factor: Tensor, bits: int, method: Method) -> float:
    """Return ||quantised - factor||^2 / ||factor||^2 at the fitted scale; 0 for a zero factor."""
    if bits == 32:
        return 0.0
    sample = spread_sample(factor, _SAMPLE)
    quantiser = make_quantiser(method, bits)
    value = quantiser(quantiser.fit(sample))
    square = float(sample.square().sum())
    return float((value - sample).square().sum()) / square if square else 0.0


class NoiseSurface:
    """A factor's relative noise at every number of bases and every bit width.

    It depends on the numbers of bases because later bases are weaker, which spreads the entries
    that share one scale. ``factor(rows, directions)`` gives the factor's entries at so many.
    """

    def __init__(
        self,
        factor: Callable[[int, int], Tensor],
        rows: int,
        directions: int,
        widths: Sequence[int],
        method: Method,
    ):
        at_rows, at_directions = _spread(rows), _spread(directions)
        measured = np.array(
            [[_noises(factor(r, d), widths, method) for d in at_directions] for r in at_rows]
        )
        logs = np.log(np.maximum(measured, _LEAST))  # (points, points, widths)
        logs = _interpolate(logs, at_rows, rows)
        logs = _interpolate(logs.swapaxes(0, 1), at_directions, directions).swapaxes(0, 1)
        self._noise = np.where(logs <= np.log(2 * _LEAST), 0.0, np.exp(logs))
        self._column = np.zeros(max(widths) + 1, dtype=np.int64)
        self._column[list(widths)] = np.arange(len(widths))

    def __call__(
        self, rows: NDArray[np.int64], directions: NDArray[np.int64], bits: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Return the noise at so many rows, directions and bits, all of one shape."""
        found: NDArray[np.float64] = self._noise[rows - 1, directions - 1, self._column[bits]]
        return found


def _noises(factor: Tensor, widths: Sequence[int], method: Method) -> list[float]:
    """Return the relative noise at every bit width, on one sample."""
    sample = spread_sample(factor, _SAMPLE)
    return [relative_noise(sample, bits, method) for bits in widths]


def _spread(count: int) -> list[int]:
    """Return a few numbers from 1 to ``count``, evenly by ratio."""
    return sorted({round(x) for x in np.geomspace(1, count, _POINTS)})


def _interpolate(values: NDArray[np.float64], at: Sequence[int], count: int) -> NDArray[np.float64]:
    """Fill the first axis, known ``at`` some numbers, at 1 to ``count``; linear in the log."""
    wanted = np.log(np.arange(1, count + 1))
    place = np.interp(wanted, np.log(at), np.arange(len(at)))
    below = np.minimum(place.astype(np.int64), max(0, len(at) - 2))
    share = (place - below).reshape(-1, *[1] * (values.ndim - 1))
    above = np.minimum(below + 1, len(at) - 1)
    filled: NDArray[np.float64] = (1 - share) * values[below] + share * values[above]
    return filled
