"""The trials of a study that the view leaves, as a table."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, overload

import numpy as np
from dash import html
from numpy.typing import NDArray

from dashboard.database import Database
from dashboard.pages.study.filtered import Filtered
from dashboard.pages.study.view import SELECTED, StudyView
from dashboard.parts.attributes import attributes
from dashboard.parts.expected import EXPECTED, EXTRA
from dashboard.parts.page import link
from dashboard.parts.states import STATE_WORDS
from dashboard.parts.table import Column, Row, Table
from dashboard.parts.verified import KEYS as VERIFIED_KEYS
from dashboard.parts.verified import VERIFIED, longest, verified_fields
from dashboard.query import Query
from mlgsearch.records import TrialState
from mlgsearch.results.analysis.trial_columns import NO_TRIAL, STATES, Rows
from mlgsearch.results.analysis.verification import VerifiedPoint
from mlgsearch.results.formats import expectation_fields
from mlgsearch.results.read.study_results import StudyResults, verified_students
from mlgsearch.results.read.trial_details import settings_of
from mlgsearch.words import TIMES


class TrialRows(Sequence[Row]):
    """Trials as rows of plain data, made where they are looked at; what is not known is None.

    ``rows`` are the trials' rows in the study's columns, in the order of the table.
    """

    def __init__(
        self,
        results: StudyResults,
        rows: Rows,
        front: Rows,
        selected: Sequence[int],
        points: Mapping[int, VerifiedPoint],
    ) -> None:
        self._results = results
        self._rows = rows
        self._front = front
        self._selected = selected
        self._points = points

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> list[Row]: ...
    def __getitem__(self, place: int | slice) -> Row | list[Row]:
        if isinstance(place, slice):
            return self._made(self._rows[place])
        return self._made(self._rows[[place]])[0]

    def sorted_by(self, key: str, *, falls: bool) -> Self:
        """Return the same trials by a column; equal ones stay as they are, unknown ones go last."""
        values = self._values(key)
        # Falling is the reverse of rising, but not among equals: so Python's sort has it, too.
        ranks = np.unique(values, return_inverse=True)[1]
        order = np.argsort(-ranks if falls else ranks, kind="stable")
        is_missing = _missing(values)[order]
        order = np.concatenate([order[~is_missing], order[is_missing]])
        return type(self)(
            self._results, self._rows[order], self._front, self._selected, self._points
        )

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
        values: NDArray[Any] = getattr(columns, key)[rows]
        return values

    def _made(self, rows: Rows) -> list[Row]:
        columns = self._results.columns
        front = set(columns.number[self._front].tolist())
        found: list[Row] = []
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
                    "is_selected": number in self._selected,
                }
            )
        return found


#: Of each state, its place among the states as pages tell them.
_PLACES = [list(STATE_WORDS).index(state) for state in STATES]

#: Columns of the table whose values are no column of the study, or are sorted otherwise.
_SORTED_BY: dict[str, Callable[[StudyResults], NDArray[Any]]] = {
    "trial": lambda results: results.columns.number,
    "state": lambda results: np.array(_PLACES)[results.columns.state],
    "compression": lambda results: -results.columns.memory_ratio,
}


def _missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    is_missing = np.isnat(values) if values.dtype.kind == "M" else values != values  # NaN alone
    return np.asarray(is_missing, dtype=np.bool_)


def _rows(database: Database, query: Query) -> TrialRows:
    results, view = database.results(query.one("name")), StudyView.of(query)
    left = Filtered.of(results, view)
    points = longest(verified_students(database.engine, results))
    return TrialRows(results, left.rows, left.front, view.selected, points)


def _empty_columns(database: Database, query: Query) -> Sequence[str]:
    runs = database.results(query.one("name")).runs
    is_verified = any(run.state is TrialState.COMPLETE for run in runs)
    return () if is_verified else VERIFIED_KEYS


def _with_settings(database: Database, query: Query, rows: Sequence[Row]) -> list[Row]:
    numbers = [row["trial"] for row in rows]
    settings = settings_of(database.engine, query.one("name"), numbers)
    return [{**row, "settings": settings.get(row["trial"])} for row in rows]


def _percent(row: Row) -> str:
    return "" if row["accuracy"] is None else f"{100 * row['accuracy']:.2f} %"


def _times(row: Row) -> str:
    return "" if row["compression"] is None else f"{TIMES}{row['compression']:.1f}"


def _kilobytes(row: Row) -> str:
    return "" if row["packed_bytes"] is None else f"{row['packed_bytes'] / 1000:,.1f}"


def _finished(row: Row) -> str:
    return "" if row["finished_at"] is None else row["finished_at"][:19].replace("T", " ")


def _state(row: Row) -> str:
    word = next(word for state, word in STATE_WORDS.items() if state.value == row["state"])
    return f"{word}, on the front" if row["on_front"] else word


def _pick(row: Row) -> html.Button:
    word = "Remove" if row["is_selected"] else "Select"
    return html.Button(
        word,
        type="button",
        **attributes(
            aria_label=f"{word} trial {row['trial']}",
            data_toggle=SELECTED,
            data_value=str(row["trial"]),
        ),
    )


TRIALS_TABLE = Table(
    key="study-trials",
    label="Trials",
    columns=(
        Column(
            "trial",
            "trial",
            lambda row: link(
                str(row["trial"]), "/study/trial", name=row["study"], number=row["trial"]
            ),
            is_number=True,
        ),
        Column("state", "state", _state),
        Column("accuracy", "accuracy", _percent, is_number=True),
        EXPECTED,
        *VERIFIED,
        Column(
            "memory_ratio", "memory ratio", lambda row: f"{row['memory_ratio']:.4f}", is_number=True
        ),
        Column("compression", "smaller", _times, is_number=True),
        Column("packed_bytes", "packed KB", _kilobytes, is_number=True),
        Column("epochs_done", "epochs", is_number=True),
        Column("finished_at", "finished (UTC)", _finished),
        Column("pick", "selection", _pick, is_data=False),
    ),
    rows=_rows,
    sort="-accuracy",
    page_size=10,
    extra=(*EXTRA, "test_accuracy_std", "on_front", "reused_from", "settings"),
    complete=_with_settings,
    empty="No trial is left: remove a filter, or wait for the first one.",
    hides=_empty_columns,
)
