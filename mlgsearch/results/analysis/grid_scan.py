"""The scan the paper shows: accuracy and memory over a uniform study's two numbers of bases."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlgsearch.records import FiveNumbers, TrialState
from mlgsearch.results.analysis.trial_columns import TrialColumns


@dataclass(frozen=True, eq=False)
class GridScan:
    """Means over COMPLETE trials at each pair of bases; bits may differ between them.

    ``base_in`` (a,) and ``base_out`` (b,) ascend, and have only values that were tried; the other
    arrays are (b, a). ``trials`` counts; where it is 0, ``accuracy`` (a fraction) and
    ``memory_ratio`` are NaN.
    """

    base_in: NDArray[np.int64]
    base_out: NDArray[np.int64]
    trials: NDArray[np.int64]
    accuracy: NDArray[np.float64]
    memory_ratio: NDArray[np.float64]


def uniform_bases(settings: Mapping[str, FiveNumbers]) -> tuple[int, int]:
    """Read (B_in, B_out) off the canonical settings that one uniform setting gave its layers.

    A level that a layer cannot hold is 0 there, and the rule for 1x1 layers only lowers B_out; so
    the largest are those that were asked for, up to what the widest layer can hold: beyond that
    all mean the same student. 0 means a level that no layer has.
    """
    return (
        max((five[0] for five in settings.values()), default=0),
        max((five[1] for five in settings.values()), default=0),
    )


def grid_scan(columns: TrialColumns, settings: Mapping[int, Mapping[str, FiveNumbers]]) -> GridScan:
    """Average a uniform study's COMPLETE trials over its grid.

    Args:
        columns: the study's trials.
        settings: by number, as ``settings_of`` gives them; trials that are not named are left out.
    """
    done = columns.at(columns.is_in(TrialState.COMPLETE))
    done = done.at(np.isin(done.number, list(settings)))
    bases = [uniform_bases(settings[number]) for number in done.number.tolist()]
    pairs = np.array(bases, dtype=np.int64).reshape(-1, 2)  # (trials, 2)
    base_in, columns_at = np.unique(pairs[:, 0], return_inverse=True)
    base_out, rows_at = np.unique(pairs[:, 1], return_inverse=True)
    shape = (len(base_out), len(base_in))
    trials = np.zeros(shape, dtype=np.int64)
    np.add.at(trials, (rows_at, columns_at), 1)
    return GridScan(
        base_in,
        base_out,
        trials,
        _mean(done.accuracy, rows_at, columns_at, trials),
        _mean(done.memory_ratio, rows_at, columns_at, trials),
    )


def _mean(
    values: NDArray[np.float64],
    rows_at: NDArray[np.intp],
    columns_at: NDArray[np.intp],
    trials: NDArray[np.int64],
) -> NDArray[np.float64]:
    sums = np.zeros(trials.shape)
    np.add.at(sums, (rows_at, columns_at), values)
    return np.where(trials, sums / np.maximum(trials, 1), np.nan)
