"""All trials of a study, column by column: what a page draws from, without settings or texts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mlgsearch.records import OBJECTIVES, TrialRecord, TrialState
from mlgsearch.results.analysis.front import (
    as_searched,
    directions,
    pareto_rows,
    reference_corner,
    usable,
)
from mlgsearch.results.analysis.hypervolume_course import hypervolume_course

#: What the codes in ``TrialColumns.state`` mean.
STATES: tuple[TrialState, ...] = tuple(TrialState)

#: The value of ``TrialColumns.reused_from`` where a trial has a result of its own.
NO_TRIAL = -1

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Moments = NDArray[np.datetime64]
Rows = NDArray[np.intp]

#: Rows of trials in the order they finished with a result, and the hypervolume once each had.
Course = tuple[Rows, Floats]

_CODES = {state.value: code for code, state in enumerate(STATES)}
_FLOATS = (
    "accuracy",
    "loss",
    "memory_ratio",
    "parameter_ratio",
    "packed_bytes",
    "latency_ms",
    "peak_activation_bytes",
)
_INTEGERS = (
    "number",
    "generation_macs",
    "execution_macs",
    "epochs_done",
    "epochs_wanted",
    "attempts",
    "reused_from",
)
_MOMENTS = ("created_at", "finished_at", "updated_at")


@dataclass(frozen=True, eq=False)
class TrialColumns:
    """Trials by number, shape (n,) in every column; arrays are read-only.

    As they never change, fronts and courses are worked out of them once.

    ``state`` indexes ``STATES``. Accuracy is a fraction; what is not known is NaN (also of
    ``packed_bytes`` and
    ``peak_activation_bytes``, which are floats therefore), ``NO_TRIAL`` in ``reused_from``, NaT in
    ``finished_at``. Moments are datetime64[us] in UTC; ``updated_at`` moves with every change of a
    trial or its epochs.
    """

    number: Integers
    state: NDArray[np.uint8]
    accuracy: Floats
    loss: Floats
    memory_ratio: Floats
    parameter_ratio: Floats
    packed_bytes: Floats
    latency_ms: Floats
    peak_activation_bytes: Floats
    generation_macs: Integers
    execution_macs: Integers
    epochs_done: Integers
    epochs_wanted: Integers
    attempts: Integers
    reused_from: Integers
    created_at: Moments
    finished_at: Moments
    updated_at: Moments

    @classmethod
    def of(cls, values: Mapping[str, Sequence[Any]]) -> Self:
        """Make columns of what the database gives, in any order of trials.

        States are text, moments datetimes in UTC without a zone, None means unknown.
        """
        arrays: dict[str, NDArray[Any]] = {
            "state": np.array([_CODES[state] for state in values["state"]], dtype=np.uint8)
        }
        for name in _FLOATS:
            arrays[name] = np.array(values[name], dtype=np.float64)  # None becomes NaN
        for name in _INTEGERS:
            known = [NO_TRIAL if value is None else value for value in values[name]]
            arrays[name] = np.array(known, dtype=np.int64)
        for name in _MOMENTS:
            arrays[name] = np.array(values[name], dtype="datetime64[us]")  # None becomes NaT
        order = np.argsort(arrays["number"], kind="stable")
        return cls._frozen({name: array[order] for name, array in arrays.items()})

    @classmethod
    def of_records(cls, trials: Iterable[TrialRecord]) -> Self:
        """Make columns of records, which do not know when they were last written."""
        trials = list(trials)

        def value(trial: TrialRecord, name: str) -> Any:
            if name == "updated_at":
                return None
            found = getattr(trial if hasattr(trial, name) else trial.sizes, name)
            return found.replace(tzinfo=None) if isinstance(found, datetime) else found

        names = [field.name for field in fields(cls)]
        return cls.of({name: [value(trial, name) for trial in trials] for name in names})

    @classmethod
    def empty(cls) -> Self:
        """Return the columns of no trial."""
        return cls.of({field.name: () for field in fields(cls)})

    def __len__(self) -> int:
        return len(self.number)

    def merged(self, changes: Self) -> Self:
        """Return these columns with those trials replaced or added."""
        if not len(changes):
            return self
        kept = ~np.isin(self.number, changes.number)
        number = np.concatenate([self.number[kept], changes.number])
        order = np.argsort(number, kind="stable")
        joined = {}
        for field in fields(self):
            old, new = getattr(self, field.name), getattr(changes, field.name)
            joined[field.name] = np.concatenate([old[kept], new])[order]
        return self._frozen(joined)

    def at(self, rows: Rows | NDArray[np.bool_]) -> Self:
        """Return the columns of some rows, by index or mask, in that order."""
        return self._frozen({field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def rows_of(self, numbers: Iterable[int]) -> Rows:
        """Return the rows of those of the numbers that there are, in their order."""
        wanted = np.fromiter(numbers, dtype=np.int64)
        found = np.searchsorted(self.number, wanted)
        is_there = found < len(self)
        is_there[is_there] = self.number[found[is_there]] == wanted[is_there]
        return found[is_there]

    def is_in(self, *states: TrialState) -> NDArray[np.bool_]:
        """Return which trials are in one of the states, shape (n,)."""
        return np.isin(self.state, [STATES.index(state) for state in states])

    def counts(self) -> dict[TrialState, int]:
        """Count the trials by state; every state is there, if only with 0."""
        found = np.bincount(self.state, minlength=len(STATES))
        return {state: int(found[code]) for code, state in enumerate(STATES)}

    def objective(self, name: str) -> Floats:
        """Return an objective's values as shown, shape (n,); NaN where not known.

        Raises:
            ValueError: there is no such objective.
        """
        if name not in OBJECTIVES:
            raise ValueError(f"unknown objective {name!r}; there is {', '.join(OBJECTIVES)}")
        values: Floats = getattr(self, name)
        return values.astype(np.float64, copy=False)

    def usable_rows(self, objectives: Sequence[str]) -> Rows:
        """Return the rows of the COMPLETE trials that have a usable value of every objective.

        Trials of early versions have no ``packed_bytes``; a log axis needs positive values.
        """
        rows = np.flatnonzero(self.is_in(TrialState.COMPLETE))
        return rows[usable(self._values(rows, objectives), objectives)]

    def front_rows(self, objectives: Sequence[str]) -> Rows:
        """Return the rows of the trials that no other dominates, smallest memory ratio first.

        As ``mlgsearch.results.analysis.front.front``: among COMPLETE trials, and of those that are
        equal in all objectives the lowest number only.
        """
        known, asked = self._fronts, tuple(objectives)
        if asked not in known:
            known[asked] = _read_only(self._front(asked))
        return known[asked]

    @cached_property
    def finished_rows(self) -> Rows:
        """The rows of the trials that have finished, first to last."""
        is_over = self.is_in(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
        rows = np.flatnonzero(is_over & ~np.isnat(self.finished_at))
        return _read_only(rows[np.lexsort((self.number[rows], self.finished_at[rows]))])

    @cached_property
    def _fronts(self) -> dict[tuple[str, ...], Rows]:
        return {}

    @cached_property
    def _courses(self) -> dict[tuple[object, ...], Course]:
        return {}

    def _front(self, objectives: Sequence[str]) -> Rows:
        rows = self.usable_rows(objectives)
        rows = rows[pareto_rows(self._values(rows, objectives), directions(objectives))]
        return rows[np.argsort(self.memory_ratio[rows], kind="stable")]

    def _values(self, rows: Rows, objectives: Sequence[str]) -> Floats:
        """Return the values of some rows as shown, shape (n, m)."""
        return np.column_stack([self.objective(name)[rows] for name in objectives])

    def hypervolume_over_trials(
        self, objectives: Sequence[str], reference: Mapping[str, float] | None = None
    ) -> Course:
        """Follow the hypervolume as trials finished.

        Args:
            objectives: what spans it; values are taken as the sampler sees them.
            reference: worst values by objective, as the sampler sees them; without it (also where
                an objective is not named) an objective's own ``reference``.

        Returns:
            The rows of the trials with usable values in the order they finished in, and the
            hypervolume once each had, both of shape (k,); the last is the study's.
        """
        corner = reference_corner(objectives, reference or {})
        known, asked = self._courses, (*objectives, *corner)
        if asked not in known:
            known[asked] = self._course(objectives, corner)
        return known[asked]

    def _course(self, objectives: Sequence[str], corner: Sequence[float]) -> Course:
        rows = self.usable_rows(objectives)
        rows = rows[np.lexsort((self.number[rows], self.finished_at[rows]))]
        values = as_searched(self._values(rows, objectives), objectives)
        course = hypervolume_course(values, directions(objectives), corner)
        return _read_only(rows), _read_only(course)

    @classmethod
    def _frozen(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        return cls(**{name: _read_only(array) for name, array in arrays.items()})


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False  # many threads read the same
    return array
