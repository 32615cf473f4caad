"""The Pareto front of a study's trials, and the hypervolume it dominates."""

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import moocore
import numpy as np
import numpy.typing as npt

from mlgsearch.records import OBJECTIVES, Objective, TrialRecord, TrialState

Values = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

T = TypeVar("T")


def is_non_dominated(values: Values, larger_is_better: Sequence[bool]) -> npt.NDArray[np.bool_]:
    """Return which points no other point dominates.

    One point dominates another when it is at least as good in every objective and better in at
    least one; so equal points never dominate each other: they are all kept, or none is.

    Args:
        values: one point per row, shape (n, m).
        larger_is_better: the direction of each of the m columns.

    Returns:
        shape (n,), True where the point is on the front.

    Raises:
        ValueError: the shapes do not fit, or a value is NaN or infinite.
    """
    values = _checked(values, larger_is_better)
    if not len(values):
        return np.zeros(0, dtype=bool)
    kept: npt.NDArray[np.bool_] = moocore.is_nondominated(
        values, maximise=list(larger_is_better), keep_weakly=True
    )
    return kept


def hypervolume(
    values: Values, larger_is_better: Sequence[bool], reference: Sequence[float]
) -> float:
    """Measure the region that the points dominate, up to the reference point; larger is better.

    A point that is not better than the reference in every objective contributes nothing. The
    exact algorithms of Fonseca, Paquete and López-Ibáñez (2006) and Guerreiro and Fonseca (2018),
    by moocore.

    Args:
        values: one point per row, shape (n, m).
        larger_is_better: the direction of each of the m columns.
        reference: the worst value of each column.

    Raises:
        ValueError: the shapes do not fit, or a value is NaN or infinite.
    """
    values = _checked(values, larger_is_better)
    corner = _checked(np.asarray([reference], dtype=np.float64), larger_is_better)  # (1, m)
    signs = np.where(larger_is_better, -1.0, 1.0)  # (m,)
    gains = (corner - values) * signs  # (n, m), positive where better than the reference
    inside = values[(gains > 0).all(axis=1)]
    if not len(inside):
        return 0.0
    # Measured from the reference, not from the origin: differences of large numbers lose digits.
    return float(moocore.hypervolume((inside - corner) * signs, ref=np.zeros(len(signs))))


def usable(values: Values, objectives: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Return which points can be compared: known, finite, positive where log10 is taken.

    Args:
        values: one point per row, as shown, shape (n, m); NaN where not known.
        objectives: the names of the m columns.

    Raises:
        ValueError: an objective is unknown.
    """
    is_log10 = np.array([kind.is_log10 for kind in _kinds(objectives)], dtype=bool)  # (m,)
    good: npt.NDArray[np.bool_] = (np.isfinite(values) & ((values > 0) | ~is_log10)).all(axis=1)
    return good


def pareto_rows(values: Values, larger_is_better: Sequence[bool]) -> Rows:
    """Return the points that no other dominates, in their order; of equal ones the first.

    Raises:
        ValueError: as ``is_non_dominated``.
    """
    rows = np.flatnonzero(is_non_dominated(values, larger_is_better))
    _, first = np.unique(values[rows], axis=0, return_index=True)
    found: Rows = rows[np.sort(first)]
    return found


def directions(objectives: Sequence[str]) -> list[bool]:
    """Return for each objective whether larger is better.

    Raises:
        ValueError: an objective is unknown.
    """
    return [kind.larger_is_better for kind in _kinds(objectives)]


def as_searched(values: Values, objectives: Sequence[str]) -> Values:
    """Return usable values, shape (n, m), as the sampler sees them: some in log10."""
    columns = [
        np.log10(column) if kind.is_log10 else column
        for kind, column in zip(_kinds(objectives), values.T, strict=True)
    ]
    return np.column_stack(columns)


def reference_corner(objectives: Sequence[str], reference: Mapping[str, float]) -> list[float]:
    """Return the worst value of each objective, as the sampler sees it.

    Args:
        objectives: what spans the hypervolume.
        reference: a study's ``hypervolume_reference``. An objective that it does not name, as in
            studies of early versions, counts from its own constant.
    """
    return [reference.get(name, OBJECTIVES[name].reference) for name in objectives]


def dominated_volume(
    values: Values, objectives: Sequence[str], reference: Mapping[str, float]
) -> float:
    """Measure what points dominate, as the sampler sees it; larger is better.

    Each objective counts from the study's ``reference`` (see ``reference_corner``), in log10 where
    it says so: accuracy and memory ratio alone give fractions times decades.

    Args:
        values: one point per row, as shown, shape (n, m); what is not ``usable`` is left out.
        objectives: the names of the m columns.
        reference: a study's ``hypervolume_reference``.

    Raises:
        ValueError: an objective is unknown.
    """
    seen = as_searched(values[usable(values, objectives)], objectives)
    return hypervolume(seen, directions(objectives), reference_corner(objectives, reference))


def front(trials: Iterable[TrialRecord], objectives: Sequence[str]) -> list[TrialRecord]:
    """Return the COMPLETE trials that no other dominates, smallest memory ratio first.

    Of trials that are equal in all objectives only the lowest number is returned: a reused record
    is no second solution. A trial without a usable value of an objective is left out, as one of an
    early version without ``packed_bytes``.

    Raises:
        ValueError: an objective is unknown.
    """
    complete, values = _complete(trials, objectives)
    rows = np.flatnonzero(usable(values, objectives))
    best = [complete[row] for row in rows[pareto_rows(values[rows], directions(objectives))]]
    return sorted(best, key=lambda trial: (trial.sizes.memory_ratio, trial.number))


def front_hypervolume(
    trials: Iterable[TrialRecord], objectives: Sequence[str], reference: Mapping[str, float]
) -> float:
    """Return the `dominated_volume` of the COMPLETE trials.

    Raises:
        ValueError: an objective is unknown.
    """
    return dominated_volume(_complete(trials, objectives)[1], objectives, reference)


def is_usable(value: float | None, objective: Objective) -> bool:
    """Whether a value can be compared and drawn: known, finite, positive where log10 is taken."""
    return value is not None and math.isfinite(value) and (value > 0 or not objective.is_log10)


def _complete(
    trials: Iterable[TrialRecord], objectives: Sequence[str]
) -> tuple[list[TrialRecord], Values]:
    """Return the COMPLETE trials by number, and their values as shown, (n, m); NaN for None."""
    names = [kind.name for kind in _kinds(objectives)]
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    complete.sort(key=lambda trial: trial.number)
    values = [[trial.objective_value(name) for name in names] for trial in complete]
    return complete, np.array(values, dtype=np.float64).reshape(len(complete), len(names))


def _kinds(objectives: Sequence[str]) -> list[Objective]:
    for name in objectives:
        if name not in OBJECTIVES:
            raise ValueError(f"unknown objective {name!r}; there is {', '.join(OBJECTIVES)}")
    return [OBJECTIVES[name] for name in objectives]


def _checked(values: Values, larger_is_better: Sequence[bool]) -> Values:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != len(larger_is_better) or not len(larger_is_better):
        raise ValueError(
            f"values have shape {values.shape}, expected (n, {len(larger_is_better)}) "
            "for as many directions"
        )
    rows = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(rows):
        raise ValueError(f"point {rows[0]} is {values[rows[0]].tolist()}: not finite")
    return values


def middles_first(ordered: Sequence[T]) -> list[T]:
    """Order a front so that those tried by any moment are spread over it, its ends the last."""
    spans = deque([(0, len(ordered))])
    found = []
    while spans:
        low, high = spans.popleft()
        if low < high:
            middle = (low + high) // 2
            found.append(ordered[middle])
            spans += [(low, middle), (middle + 1, high)]
    return found
