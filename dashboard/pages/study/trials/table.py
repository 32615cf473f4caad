"""The trials of a study that the view leaves, as a table."""

from collections.abc import Sequence
from typing import Any

from dash import html

from dashboard.database import Database
from dashboard.pages.study.data import StudyData, read_study
from dashboard.pages.study.filtered import Filtered
from dashboard.pages.study.inspector.notes import export_notes, marked_row
from dashboard.pages.study.trials.columns import COMMON, columns_offered, more_columns
from dashboard.pages.study.trials.rows import TrialRows
from dashboard.pages.study.view import COLUMNS, FIND, LAYERS, StudyView
from dashboard.parts.attributes import attributes
from dashboard.parts.number_field import number_field
from dashboard.parts.table import Row, Table
from dashboard.parts.toggles import toggles
from dashboard.parts.values.expected import EXTRA
from dashboard.parts.values.verified import KEYS as VERIFIED_KEYS
from dashboard.query import Query
from mlgsearch.records import TrialState
from mlgsearch.results.read.trial_details import settings_of


def table_tools(data: StudyData, query: Query) -> html.Div:
    """Place what the table is steered by: the trial to go to, and the columns to choose."""
    offered = columns_offered(data)
    return html.Div(
        [
            number_field(html.Span("Go to trial"), FIND, query, step=1),
            export_notes(data.record),
            html.Details(
                [
                    html.Summary("Columns"),
                    toggles("Show also", COLUMNS, offered, query.all(COLUMNS)),
                ],
                open=bool(query.all(COLUMNS)),
            ),
        ],
        className="controls",
    )


def _rows(database: Database, query: Query) -> TrialRows:
    data, view = read_study(database, query.one("name")), StudyView.of(query)
    left = Filtered.of(data.results, view)
    # Layers are read where they are asked for.
    is_asked = any(key.startswith(LAYERS) for key in query.all(COLUMNS))
    groups = database.layer_groups(data.results) if is_asked else None
    return TrialRows(data, left.rows, left.front, view, groups)


def _is_verified(database: Database, query: Query) -> bool:
    runs = database.results(query.one("name")).runs
    return any(run.state is TrialState.COMPLETE for run in runs)


def _empty_columns(database: Database, query: Query) -> Sequence[str]:
    return () if _is_verified(database, query) else VERIFIED_KEYS


def _usual_sort(database: Database, query: Query) -> str:
    return "-test_accuracy" if _is_verified(database, query) else "-accuracy"


def _place(rows: Sequence[Row], query: Query) -> int | None:
    number = StudyView.of(query).found
    if number is None or not isinstance(rows, TrialRows):
        return None
    return rows.place_of(number)


def _row(row: Row) -> dict[str, Any]:
    words = ["selected"] * row["is_selected"] + ["found"] * row["is_found"]
    return {
        "className": " ".join(words) or None,
        **attributes(data_picks="button[data-toggle]"),
        **marked_row(row["record"], row["trial"]),
    }


def _with_settings(database: Database, query: Query, rows: Sequence[Row]) -> list[Row]:
    numbers = [row["trial"] for row in rows]
    settings = settings_of(database.engine, query.one("name"), numbers)
    return [{**row, "settings": settings.get(row["trial"])} for row in rows]


TRIALS_TABLE = Table(
    key="study-trials",
    label="Trials",
    columns=COMMON,
    more=more_columns,
    rows=_rows,
    sort="-accuracy",
    usual_sort=_usual_sort,
    page_size=10,
    extra=(*EXTRA, "test_accuracy_std", "on_front", "reused_from", "settings"),
    complete=_with_settings,
    empty="No trial is left: remove a filter, or wait for the first one.",
    hides=_empty_columns,
    place=_place,
    resets=FIND,
    row=_row,
)
