"""The trials of a study as rows of a table, made where they are looked at."""

from collections.abc import Callable, Sequence
from typing import Any, Self, overload

import numpy as np
from numpy.typing import NDArray

from dashboard.pages.study.data import StudyData
from dashboard.pages.study.view import HYPERPARAMETER, LAYERS, StudyView
from dashboard.parts.table import Row
from dashboard.parts.values.expected import EXPECTED
from dashboard.parts.values.states import STATE_WORDS
from dashboard.parts.values.verified import KEYS as VERIFIED_KEYS
from dashboard.parts.values.verified import longest, verified_fields
from mlgsearch.records import OBJECTIVES
from mlgsearch.results.analysis.layer_groups import LayerGroups
from mlgsearch.results.analysis.trial_columns import NO_TRIAL, STATES, Rows
from mlgsearch.results.formats import expectation_fields
from mlgsearch.results.read.study_results import StudyResults


class TrialRows(Sequence[Row]):
    """Trials as rows of plain data, made where they are looked at; what is not known is None.

    ``rows`` are the trials' rows in the study's columns, in the order of the table. They have what
    ``groups`` of layers take where these are given.
    """

    def __init__(
        self,
        data: StudyData,
        rows: Rows,
        front: Rows,
        view: StudyView,
        groups: LayerGroups | None = None,
    ) -> None:
        self._data = data
        self._results = data.results
        self._rows = rows
        self._front = front
        self._view = view
        self._groups = groups
        self._points = longest(data.verified)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> list[Row]: ...
    def __getitem__(self, place: int | slice) -> Row | list[Row]:
        if isinstance(place, slice):
            return [*self._made(self._rows[place])]
        return self._made(self._rows[[place]])[0]

    def sorted_by(self, key: str, *, falls: bool) -> Self:
        """Return the same trials by a column; equal ones stay as they are, unknown ones go last.

        Where few are verified, those that are not go by their accuracy.
        """
        if key in VERIFIED_KEYS:
            return self._by("accuracy", falls=True)._by(key, falls=falls)
        return self._by(key, falls=falls)

    def _by(self, key: str, *, falls: bool) -> Self:
        values = self._values(key)
        # Falling is the reverse of rising, but not among equals: so Python's sort has it, too.
        ranks = np.unique(values, return_inverse=True)[1]
        order = np.argsort(-ranks if falls else ranks, kind="stable")
        is_missing = _missing(values)[order]
        order = np.concatenate([order[~is_missing], order[is_missing]])
        return type(self)(self._data, self._rows[order], self._front, self._view, self._groups)

    def place_of(self, number: int) -> int | None:
        """Return where a trial is among these; None where it is not."""
        found = np.flatnonzero(self._results.columns.number[self._rows] == number)
        return int(found[0]) if len(found) else None

    def _values(self, key: str) -> NDArray[Any]:
        columns, rows = self._results.columns, self._rows
        if key in _SORTED_BY:
            return _SORTED_BY[key](self._results)[rows]
        numbers = columns.number[rows].tolist()
        if key in VERIFIED_KEYS:
            fields = [verified_fields(self._points.get(number))[key] for number in numbers]
            return np.array(fields, dtype=np.float64)  # None becomes NaN
        if key == EXPECTED.key:
            found = [self._results.expectations.find(number) for number in numbers]
            return np.array([np.nan if one is None else one.accuracy for one in found])
        if key.startswith(HYPERPARAMETER):
            return self._hyperparameter(key.removeprefix(HYPERPARAMETER))[rows]
        if self._groups is not None and key.startswith(LAYERS):
            return self._groups.of(key.removeprefix(LAYERS))[rows]
        values: NDArray[Any] = getattr(columns, key)[rows]
        return values

    def _hyperparameter(self, name: str) -> NDArray[Any]:
        known = self._data.hyperparameters
        if name in known.numeric:
            return known.numbers(name)
        return np.array(["" if one is None else str(one) for one in known.values[name]])

    def _made(self, rows: Rows) -> list[dict[str, Any]]:
        columns = self._results.columns
        front = set(columns.number[self._front].tolist())
        found: list[dict[str, Any]] = []
        for number, state, accuracy, ratio, size, done, reused, finished in zip(
            columns.number[rows].tolist(),
            columns.state[rows].tolist(),
            columns.accuracy[rows].tolist(),
            columns.memory_ratio[rows].tolist(),
            columns.packed_bytes[rows].tolist(),
            columns.epochs_done[rows].tolist(),
            columns.reused_from[rows].tolist(),
            columns.finished_at[rows].tolist(),
            strict=True,
        ):
            found.append(
                {
                    "trial": number,
                    "state": STATES[state].value,
                    "accuracy": None if accuracy != accuracy else accuracy,
                    **expectation_fields(self._results.expectations.find(number)),
                    **verified_fields(self._points.get(number)),
                    "memory_ratio": ratio,
                    "compression": 1 / ratio if ratio > 0 else None,
                    "packed_bytes": None if size != size else int(size),
                    "epochs_done": done,
                    "on_front": number in front,
                    "reused_from": None if reused == NO_TRIAL else reused,
                    "finished_at": None if finished is None else f"{finished:%Y-%m-%dT%H:%M:%SZ}",
                    "study": self._results.record.name,
                    "record": self._results.record,
                    "is_selected": number in self._view.selected,
                    "is_found": number == self._view.found,
                }
            )
        numbers = {key: columns.objective(key) for key in OTHER_OBJECTIVES}
        if self._groups is not None:
            numbers |= {f"{LAYERS}{name}": self._groups.of(name) for name in self._groups.names}
        for key, values in numbers.items():
            for row, value in zip(found, values[rows].tolist(), strict=True):
                row[key] = None if value != value else value
        for name, all_values in self._data.hyperparameters.values.items():
            for row, place in zip(found, rows.tolist(), strict=True):
                row[f"{HYPERPARAMETER}{name}"] = all_values[place]
        return found


#: Objectives that have no column of their own among those of every study.
OTHER_OBJECTIVES = tuple(
    name for name in OBJECTIVES if name not in ("accuracy", "memory_ratio", "packed_bytes")
)

#: Of each state, its place among the states as pages list them.
_PLACES = [list(STATE_WORDS).index(state) for state in STATES]

#: Columns of the table whose values are no column of the study, or are sorted otherwise.
_SORTED_BY: dict[str, Callable[[StudyResults], NDArray[Any]]] = {
    "trial": lambda results: results.columns.number,
    "state": lambda results: np.array(_PLACES)[results.columns.state],
    "compression": lambda results: -results.columns.memory_ratio,
}


def _missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    if values.dtype.kind == "U":
        return np.asarray(values == "", dtype=np.bool_)
    is_missing = np.isnat(values) if values.dtype.kind == "M" else values != values  # NaN alone
    return np.asarray(is_missing, dtype=np.bool_)
