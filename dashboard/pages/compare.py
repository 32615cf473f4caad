"""Several studies beside each other: their fronts, their hypervolumes, their files."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component

from dashboard.charts.axes.size_axis import DEFAULT_AXIS, SizeAxis, sizes_offered
from dashboard.charts.axes.zoom import read_zoom
from dashboard.charts.compare_chart import StudyFront, compare_chart
from dashboard.database import Database
from dashboard.pages.study.verdict import smallest_as_good
from dashboard.pages.study.view import AXIS, ZOOM, axis_of
from dashboard.parts.chart import chart
from dashboard.parts.menu import menu
from dashboard.parts.page import (
    CHANGE_TOKEN,
    SCHEME,
    VIEW,
    Page,
    Scheme,
    View,
    card,
    link,
    notice,
    view_id,
)
from dashboard.parts.table import Column, Row, Table
from dashboard.parts.values.cells import number, percent
from dashboard.query import Query
from mlgsearch.errors import StudyNotFoundError
from mlgsearch.records import StudyRecord, TrialState
from mlgsearch.results.analysis.difference import differences

_COMPARED = "name"

#: How the key of a study's column begins; its name follows, which may be any word.
_IN = "in "


@dataclass(frozen=True)
class _Study:
    record: StudyRecord
    front: StudyFront
    hypervolume: float


def _studies(database: Database, query: Query) -> list[_Study]:
    axis = axis_of(query)
    records = [database.store.study(name) for name in dict.fromkeys(query.all(_COMPARED))]
    reference = _shared_reference(records)
    return [_study(database, record, axis, reference) for record in records]


def _shared_reference(records: Sequence[StudyRecord]) -> dict[str, float]:
    """Return the worst values that all studies have stored; the other objectives' are constants."""
    stored = [record.hypervolume_reference for record in records]
    return {
        name: value
        for name, value in (stored[0] if stored else {}).items()
        if all(other.get(name) == value for other in stored)
    }


def _study(
    database: Database, record: StudyRecord, axis: SizeAxis, reference: Mapping[str, float]
) -> _Study:
    pair = ("accuracy", axis.objective)
    columns = database.trials(record.name)
    _, course = columns.hypervolume_over_trials(pair, reference)
    return _Study(
        record,
        StudyFront(record.name, columns, columns.front_rows(pair)),
        float(course[-1]) if len(course) else 0.0,
    )


def _picture(studies: Sequence[_Study], query: Query, scheme: Scheme) -> tuple[Any, str]:
    references = dict.fromkeys(point for study in studies for point in study.record.references)
    figure = compare_chart(
        [study.front for study in studies],
        axis_of(query),
        list(references),
        scheme,
        read_zoom(query.one(ZOOM), axis_of(query)),
    )
    return figure, _summary(studies, query)


def _summary(studies: Sequence[_Study], query: Query) -> str:
    ranked = sorted(studies, key=lambda study: -study.hypervolume)
    volumes = ", ".join(f"{study.record.name} {study.hypervolume:.4f}" for study in ranked)
    return (
        f"Hypervolumes of accuracy and {axis_of(query).shown.label}, all from the same reference, "
        f"larger is better: {volumes}."
    )


def _overview(database: Database, query: Query) -> list[dict[str, Any]]:
    rows = []
    for study in _studies(database, query):
        columns = study.front.columns
        rows.append(
            {
                "study": study.record.name,
                "complete": int(columns.is_in(TrialState.COMPLETE).sum()),
                "front": len(study.front.rows),
                "verdict": smallest_as_good(database.results(study.record.name)),
                "hypervolume": study.hypervolume,
                "teacher_accuracy": study.record.teacher_accuracy,
            }
        )
    return rows


def _file_differences(database: Database, query: Query) -> list[dict[str, Any]]:
    records = [database.store.study(name) for name in dict.fromkeys(query.all(_COMPARED))]
    return [
        {"key": there.key}
        | {_IN + record.name: value for record, value in zip(records, there.values, strict=True)}
        for there in differences([record.content for record in records])
        if there.key != "name"
    ]


def _in_each(_database: Database, query: Query) -> list[Column]:
    """Return a column per study compared."""

    def shown(key: str) -> Callable[[Row], str]:
        return lambda row: _written(row[key])

    names = dict.fromkeys(query.all(_COMPARED))
    return [Column(_IN + name, name, shown(_IN + name)) for name in names]


def _written(value: object) -> str:
    """Write a value of a study file as one would in it, on one line."""
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_written(part)}" for key, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_written, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


OVERVIEW = Table(
    key="compare-studies",
    label="The studies compared",
    columns=(
        Column("study", "study", lambda row: link(row["study"], "/study", name=row["study"])),
        number("hypervolume", "hypervolume", "{:.4f}"),
        Column("complete", "complete", is_number=True),
        Column("front", "on the front", is_number=True),
        Column("verdict", "how small a student as good as the teacher is"),
        percent("teacher_accuracy", "teacher"),
    ),
    rows=_overview,
    sort="-hypervolume",
)
DIFFERENCES = Table(
    key="compare-files",
    label="Where the study files differ",
    columns=(Column("key", "key", lambda row: html.Code(row["key"])),),
    more=_in_each,
    rows=_file_differences,
    page_size=50,
    empty="The study files say the same but for their names.",
)


def _layout(database: Database, view: View) -> Component:
    studies = _studies(database, view.query)
    names = [study.record.name for study in studies]
    if len(studies) < 2:
        return html.Div([html.H1("Compare"), _too_few(database, names)])
    figure, summary = _picture(studies, view.query, view.scheme)
    return html.Div(
        [
            html.H1("Compare"),
            *_warnings(studies),
            dcc.Store(id="compare-drawn", data=_digest(studies, view.query, view.scheme)),
            dcc.Store(id=view_id(ZOOM), data=view.query.one(ZOOM)),
            html.Div(
                [
                    menu(
                        "Size",
                        AXIS,
                        sizes_offered(),
                        axis_of(view.query).shown.name,
                        default=DEFAULT_AXIS,
                    ),
                    _add(database, names),
                ],
                className="controls",
            ),
            chart(
                "compare-chart",
                figure,
                title="Fronts",
                summary=summary,
                file="fronts",
                table="compare-table",
                more=html.Div(OVERVIEW.render(database, view.query), id="compare-table"),
            ),
            card("Where the study files differ", DIFFERENCES.render(database, view.query)),
        ],
        className="compare",
    )


def _too_few(database: Database, names: Sequence[str]) -> Component:
    others = [study.name for study in database.store.studies() if study.name not in names]
    if not others:
        return notice("There is no other study in this database to compare with.")
    asked = "Choose a study to compare with:" if names else "Choose the first study to compare:"
    return notice(asked, html.Ul([html.Li(_with(names, other)) for other in others]))


def _add(database: Database, names: Sequence[str]) -> html.Details:
    others = [study.name for study in database.store.studies() if study.name not in names]
    return html.Details(
        [
            html.Summary("Change the studies"),
            html.Ul(
                [
                    *(
                        html.Li(["without ", link(name, "/compare", name=_without(names, name))])
                        for name in names
                    ),
                    *(html.Li(["with ", _with(names, name)]) for name in others),
                ]
            ),
        ]
    )


def _with(names: Sequence[str], other: str) -> Component:
    return link(other, "/compare", name=[*names, other])


def _without(names: Sequence[str], name: str) -> list[str]:
    return [other for other in names if other != name]


def _warnings(studies: Sequence[_Study]) -> list[Component]:
    """Return notices where figures of the studies are not comparable."""
    differing = []
    for part, what in (("data", "data"), ("model", "networks")):
        parts = [study.record.content.get(part) for study in studies]
        if any(other != parts[0] for other in parts):
            differing.append(what)
    if not differing:
        return []
    return [
        notice(
            f"These studies are about different {' and '.join(differing)}: "
            "a larger hypervolume need not mean a better search."
        )
    ]


def _digest(studies: Sequence[_Study], query: Query, scheme: Scheme) -> str:
    """Return a text that differs when the picture would."""
    digest = sha256(repr((query.one(AXIS), query.one(ZOOM), scheme)).encode())
    for study in studies:
        digest.update(repr((study.record.name, study.hypervolume)).encode())
        columns = study.front.columns.at(study.front.rows)
        digest.update(np.ascontiguousarray(columns.number).tobytes())
    return digest.hexdigest()[:16]


def _register(app: Dash, database: Database) -> None:
    @app.callback(
        Output("compare-chart", "figure"),
        Output("compare-chart-summary", "children"),
        Output("compare-drawn", "data"),
        Input(CHANGE_TOKEN, "data"),
        Input(VIEW, "data"),
        Input(SCHEME, "data"),
        State("compare-drawn", "data"),
        prevent_initial_call=True,
    )
    def _follow(
        _token: str, asked: Mapping[str, Any], scheme: Scheme, drawn: str
    ) -> tuple[Any, Any, Any]:
        query = Query(asked)
        try:
            studies = _studies(database, query)
        except StudyNotFoundError:  # deleted meanwhile: what was shown stays
            return no_update, no_update, no_update
        digest = _digest(studies, query, scheme)
        if digest == drawn:
            return no_update, no_update, no_update
        return *_picture(studies, query, scheme), digest

    in_browser: Callable[..., None] = app.clientside_callback
    in_browser(
        ClientsideFunction("study", "zoom"),
        [Output(view_id(ZOOM), "data", allow_duplicate=True)],
        [Input("compare-chart", "relayoutData")],
        prevent_initial_call=True,
    )


PAGE = Page(
    path="/compare",
    title=lambda query: " and ".join(query.all(_COMPARED)) or "Compare",
    layout=_layout,
    register=_register,
    tables=(OVERVIEW, DIFFERENCES),
)
