"""The trials of a study as tables: its front, or all of them."""

from collections.abc import Sequence
from typing import Any

from dash import html

from dashboard.database import Database
from dashboard.pages.study.view import ALL, FRONT, ROWS, SELECTED, StudyView
from dashboard.parts.attributes import attributes
from dashboard.parts.expected import EXPECTED, EXTRA
from dashboard.parts.page import link
from dashboard.parts.table import Column, Row, Table
from dashboard.query import Query
from mlgsearch.results.analysis.expectation import Expectations
from mlgsearch.results.analysis.trial_columns import NO_TRIAL, STATES, Rows, TrialColumns
from mlgsearch.results.formats import expectation_fields
from mlgsearch.results.read.trial_details import settings_of
from mlgsearch.words import TIMES


def table_of(query: Query) -> Table:
    """Return the table that the address asks for."""
    return TRIALS_TABLE if query.choice(ROWS, (FRONT, ALL), FRONT) == ALL else FRONT_TABLE


def _front(database: Database, query: Query) -> list[dict[str, Any]]:
    results = database.results(query.one("name"))
    return _rows(results.columns, results.front, results.expectations, query)


def _with_settings(database: Database, query: Query, rows: Sequence[Row]) -> list[Row]:
    numbers = [row["trial"] for row in rows]
    settings = settings_of(database.engine, query.one("name"), numbers)
    return [{**row, "settings": settings.get(row["trial"])} for row in rows]


def _trials(database: Database, query: Query) -> list[dict[str, Any]]:
    results = database.results(query.one("name"))
    return _rows(results.columns, slice(None), results.expectations, query)


def _rows(
    columns: TrialColumns, rows: Rows | slice, expectations: Expectations, query: Query
) -> list[dict[str, Any]]:
    """Return trials as rows of plain data; what is not known is None."""
    selected = StudyView.of(query).selected
    name = query.one("name")
    found = []
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
                "accuracy": _known(accuracy),
                **expectation_fields(expectations.find(number)),
                "memory_ratio": ratio,
                "compression": 1 / ratio if ratio > 0 else None,
                "packed_bytes": None if size != size else int(size),
                "epochs_done": done,
                "reused_from": None if reused == NO_TRIAL else reused,
                "finished_at": None if finished is None else f"{finished:%Y-%m-%dT%H:%M:%SZ}",
                "study": name,
                "is_selected": number in selected,
            }
        )
    return found


def _known(value: float) -> float | None:
    return None if value != value else value


def _percent(row: Row) -> str:
    return "" if row["accuracy"] is None else f"{100 * row['accuracy']:.2f} %"


def _times(row: Row) -> str:
    return "" if row["compression"] is None else f"{TIMES}{row['compression']:.1f}"


def _kilobytes(row: Row) -> str:
    return "" if row["packed_bytes"] is None else f"{row['packed_bytes'] / 1000:,.1f}"


def _finished(row: Row) -> str:
    return "" if row["finished_at"] is None else row["finished_at"][:19].replace("T", " ")


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


_COLUMNS = (
    Column(
        "trial",
        "trial",
        lambda row: link(str(row["trial"]), "/study/trial", name=row["study"], number=row["trial"]),
        is_number=True,
    ),
    Column("accuracy", "accuracy", _percent, is_number=True),
    EXPECTED,
    Column(
        "memory_ratio", "memory ratio", lambda row: f"{row['memory_ratio']:.4f}", is_number=True
    ),
    Column("compression", "smaller", _times, is_number=True),
    Column("packed_bytes", "packed KB", _kilobytes, is_number=True),
)
_LAST = (
    Column("finished_at", "finished (UTC)", _finished),
    Column("pick", "selection", _pick, is_data=False),
)

FRONT_TABLE = Table(
    key="study-front",
    label="The front",
    columns=(*_COLUMNS, *_LAST),
    rows=_front,
    page_size=10,
    extra=("state", *EXTRA, "epochs_done", "reused_from", "settings"),
    complete=_with_settings,
    empty="No trial is on the front yet.",
)
TRIALS_TABLE = Table(
    key="study-trials",
    label="All trials",
    columns=(
        _COLUMNS[0],
        Column("state", "state"),
        *_COLUMNS[1:],
        Column("epochs_done", "epochs", is_number=True),
        *_LAST,
    ),
    rows=_trials,
    sort="-trial",
    page_size=10,
    extra=(*EXTRA, "reused_from"),
    empty="This study has no trial yet.",
)
