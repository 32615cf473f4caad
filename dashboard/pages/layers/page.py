"""A study's layers along its front: what each student gives each layer."""

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go
from dash import Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component

from dashboard.charts.layers.layer_bytes import layer_bytes_chart, layer_bytes_summary
from dashboard.charts.layers.layer_measure import available
from dashboard.charts.layers.layers_chart import (
    COLUMN,
    columns_shown,
    layers_chart,
    layers_summary,
    least_width,
    pixels_above,
)
from dashboard.charts.layers.scan_chart import is_area, scan_chart, scan_summary
from dashboard.database import Database
from dashboard.pages.layers.front_layers import COLOUR, TRIAL, FrontLayers, scan
from dashboard.parts.chart import chart, room
from dashboard.parts.markup import lighten
from dashboard.parts.menu import menu
from dashboard.parts.page import CHANGE_TOKEN, SCHEME, VIEW, Page, Scheme, View, card, link, notice
from dashboard.parts.table import Column, Table
from dashboard.parts.values.cells import SETTING, number, percent, size
from dashboard.query import Query, address
from mlgsearch.records import StudyRecord
from mlgsearch.results.analysis.grid_scan import GridScan

PATH = "/study/layers"


def _cells(database: Database, query: Query) -> list[dict[str, Any]]:
    return FrontLayers.read(database, query.one("name")).cells()


def _bytes(database: Database, query: Query) -> list[dict[str, Any]]:
    layers = FrontLayers.read(database, query.one("name"))
    return layers.bytes_of(layers.trial(query)) if layers.students else []


def _points(database: Database, query: Query) -> list[dict[str, Any]]:
    found = scan(database, database.store.study(query.one("name")))
    return [] if found is None else _scan_rows(found)


def _scan_rows(found: GridScan) -> list[dict[str, Any]]:
    return [
        {
            "B_in": base_in,
            "B_out": base_out,
            "trials": int(found.trials[o, i]),
            "accuracy": float(found.accuracy[o, i]),
            "memory_ratio": float(found.memory_ratio[o, i]),
        }
        for o, base_out in enumerate(found.base_out.tolist())
        for i, base_in in enumerate(found.base_in.tolist())
        if found.trials[o, i]
    ]


CELLS = Table(
    key="layers-cells",
    label="What each student of the front gives each layer",
    columns=(
        Column("layer", "layer"),
        number("trial", "trial", "{:.0f}"),
        percent("accuracy", "accuracy"),
        size("packed_bytes", "packed file"),
        *SETTING,
        percent("share", "share", digits=1),
        percent("damage", "predicted damage", digits=1),
    ),
    rows=_cells,
    extra=("memory_ratio",),
)
BYTES = Table(
    key="layers-bytes",
    label="Bytes of each layer",
    columns=(
        Column("layer", "layer"),
        Column("kind", "kind"),
        Column("shape", "shape"),
        number("weights", "weights", "{:,}"),
        size("plain_bytes", "plain, 32 bits"),
        size("layer_bytes", "in the trial"),
        number("times_smaller", "times smaller", "{:.1f}"),
    ),
    rows=_bytes,
    extra=("trial",),
)
POINTS = Table(
    key="layers-scan",
    label="Accuracy and memory over the numbers of bases",
    columns=(
        number("B_in", "B_in", "{}"),
        number("B_out", "B_out", "{}"),
        number("trials", "trials", "{}"),
        percent("accuracy", "accuracy"),
        number("memory_ratio", "memory ratio", "{:.4f}"),
    ),
    rows=_points,
)


def _layout(database: Database, view: View) -> Component:
    name = view.query.one("name")
    layers = FrontLayers.read(database, name)
    heading = html.H1(["Layers of ", link(name, "/study", name=name)])
    if not layers.students:
        return html.Div([heading, _nothing(database, layers.study)])
    figure, figure_summary, bars, bars_summary = _drawn(layers, view.query, view.scheme)
    trial = layers.trial(view.query)
    measures = {measure.name: measure.label for measure in available(layers.grid)}
    return html.Div(
        [
            heading,
            html.P(
                "Each column is a student of the front, the smallest on the left; each row is a "
                "layer, the network's input on top. Click a column to open its trial.",
                className="faint",
            ),
            html.Div(
                [
                    menu(
                        "Colour",
                        COLOUR,
                        measures,
                        layers.measure(view.query).name,
                        default=next(iter(measures)),
                    ),
                    html.Div(
                        _trial_menu(layers, trial),
                        id="layers-trial",
                    ),
                    html.Span(_trial_link(name, trial), id="layers-open"),
                ],
                className="controls",
            ),
            dcc.Store(id="layers-shown", data=_shown(layers, view.query, view.scheme)),
            html.Div(
                [
                    chart(
                        "layers-chart",
                        figure,
                        title="What each layer gets",
                        summary=figure_summary,
                        file=f"layers-{name}",
                        height=figure.layout.height,
                        least_width=_least_width(layers, figure),
                        table=CELLS.folded(view.query),
                    ),
                    chart(
                        "layers-bytes",
                        bars,
                        title="Bytes of each layer",
                        summary=bars_summary,
                        file=f"layer-bytes-{name}",
                        height=bars.layout.height,
                        table=BYTES.folded(view.query),
                    ),
                ],
                className="layers",
            ),
            _scan_section(database, layers.study, view),
        ]
    )


def _register(app: Dash, database: Database) -> None:
    @app.callback(
        Output("layers-chart", "figure"),
        Output("layers-chart", "style"),
        Output("layers-chart-summary", "children"),
        Output("layers-bytes", "figure"),
        Output("layers-bytes-summary", "children"),
        Output("layers-trial", "children"),
        Output("layers-open", "children"),
        Output("layers-shown", "data"),
        Input(CHANGE_TOKEN, "data"),
        Input(VIEW, "data"),
        Input(SCHEME, "data"),
        State("layers-shown", "data"),
        prevent_initial_call=True,
    )
    def _follow(
        _token: str, view: Mapping[str, Any], scheme: Scheme, before: list[Any]
    ) -> tuple[Any, ...]:
        query = Query(view)
        layers = FrontLayers.read(database, query.one("name"))
        shown = _shown(layers, query, scheme)
        if not layers.students or shown == before:
            return (no_update,) * 8
        trial = layers.trial(query)
        menus: Any = no_update
        if shown[0] != before[0]:
            menus = lighten(_trial_menu(layers, trial))
        figure, *others = _drawn(layers, query, scheme)
        return (
            figure,
            room(figure.layout.height, _least_width(layers, figure)),
            *others,
            menus,
            lighten(_trial_link(query.one("name"), trial)),
            shown,
        )

    @app.callback(
        # Not "href": that changes the address, and the frame hears nothing of it.
        Output("location", "pathname", allow_duplicate=True),
        Output("location", "search", allow_duplicate=True),
        Input("layers-chart", "clickData"),
        State(VIEW, "data"),
        prevent_initial_call=True,
    )
    def _open(clicked: Mapping[str, Any] | None, view: Mapping[str, Any]) -> tuple[Any, Any]:
        if not clicked:
            return no_update, no_update
        # Dash leaves a heat map's customdata out.
        number = clicked["points"][0]["x"].removeprefix(COLUMN)
        path, mark, search = address(
            "/study/trial", name=Query(view).one("name"), number=number
        ).partition("?")
        return path, mark + search

    @app.callback(
        Output("layers-scan", "figure"),
        Output("layers-scan-summary", "children"),
        Input(CHANGE_TOKEN, "data"),
        Input(SCHEME, "data"),
        State(VIEW, "data"),
        prevent_initial_call=True,
    )
    def _follow_scan(_token: str, scheme: Scheme, view: Mapping[str, Any]) -> tuple[Any, Any]:
        found = scan(database, database.store.study(Query(view).one("name")))
        if found is None or not is_area(found):
            return no_update, no_update
        return scan_chart(found, scheme), scan_summary(found)


def _drawn(
    layers: FrontLayers, query: Query, scheme: Scheme
) -> tuple[go.Figure, str, go.Figure, str]:
    """Draw both charts, each with its summary."""
    measure, trial = layers.measure(query), layers.trial(query)
    columns = columns_shown(len(layers.students))
    grid, students = layers.grid.at(columns), [layers.students[column] for column in columns]
    student = layers.students[layers.grid.numbers.index(trial)]
    return (
        layers_chart(grid, students, measure, scheme, selected=trial),
        f"{layers_summary(grid, measure, front_size=len(layers.students))} {measure.sentence}",
        layer_bytes_chart(layers.grid, student, scheme, top=pixels_above(len(columns))),
        layer_bytes_summary(layers.grid, trial),
    )


def _least_width(layers: FrontLayers, figure: go.Figure) -> int:
    return least_width(figure, len(columns_shown(len(layers.students))))


def _shown(layers: FrontLayers, query: Query, scheme: Scheme) -> list[Any]:
    """Return what the charts depend on: a page that shows just this needs no new ones."""
    return [list(layers.grid.numbers), layers.measure(query).name, layers.trial(query), scheme]


def _trial_menu(layers: FrontLayers, trial: int) -> Component:
    students = {str(student.number): student.label for student in layers.students}
    largest = str(layers.grid.numbers[-1])
    return menu("Bytes of", TRIAL, students, str(trial), default=largest)


def _trial_link(name: str, trial: int) -> Component:
    return link(f"Open trial {trial}", "/study/trial", name=name, number=trial)


def _nothing(database: Database, study: StudyRecord) -> html.Div:
    return notice(
        "No trial of this study is COMPLETE yet: there is no front to draw. It shows here as soon "
        "as there is one. Where no driver runs, continue the study with:",
        html.Code(database.command("resume", study.name)),
    )


def _scan_section(database: Database, study: StudyRecord, view: View) -> Component:
    title = "Accuracy and memory over B_in and B_out"
    found = scan(database, study)
    if found is None:
        why = (
            "This study gives each layer numbers of its own. A study with "
            "space.kind: uniform, one setting for all layers, has a scan here."
        )
        return card(title, html.P(why))
    if not is_area(found):
        why = "A scan needs COMPLETE trials at two values of B_in and of B_out."
        return card(title, html.P(why))
    return chart(
        "layers-scan",
        scan_chart(found, view.scheme),
        title=title,
        summary=scan_summary(found),
        file=f"scan-{study.name}",
        table=POINTS.folded(view.query),
    )


PAGE = Page(
    path=PATH,
    title=lambda query: f"Layers of {query.one('name')}",
    layout=_layout,
    register=_register,
    tables=(CELLS, BYTES, POINTS),
)
