"""One study: its front among all trials, how it grew, and the trials one picks from it."""

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from dash import Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component

from dashboard.charts.axes.zoom import read_zoom
from dashboard.charts.curves_chart import curves_chart
from dashboard.charts.front_chart import front_chart
from dashboard.charts.hypervolume_chart import hypervolume_chart
from dashboard.database import Database
from dashboard.pages.study.chart_tables import COURSE_TABLE, CURVES_TABLE
from dashboard.pages.study.chips import chips, left_out
from dashboard.pages.study.controls import controls, replay
from dashboard.pages.study.data import (
    StudyData,
    read_study,
    tell_curves,
    tell_hypervolume,
    tell_moment,
    without_curves,
)
from dashboard.pages.study.facts import FAILURES, facts, failures, failures_title
from dashboard.pages.study.in_browser import register_in_browser
from dashboard.pages.study.inspector.choosing import choose_form, chosen_student
from dashboard.pages.study.inspector.selection import INSPECTOR, inspect, picked
from dashboard.pages.study.parallel import draw_parallel, parallel_of
from dashboard.pages.study.picture import picture_of, tell_front, tell_objectives
from dashboard.pages.study.state_line import origin, resuming, running, state_line
from dashboard.pages.study.trials.table import TRIALS_TABLE, table_tools
from dashboard.pages.study.view import SELECTED, UNTIL, ZOOM, StudyView, last_moment
from dashboard.parts.attributes import attributes
from dashboard.parts.chart import chart
from dashboard.parts.markup import Markup, digest, lighten, nodes_of
from dashboard.parts.page import CHANGE_TOKEN, SCHEME, VIEW, Page, Scheme, View, card, link, view_id
from dashboard.query import Query
from mlgsearch.errors import StudyNotFoundError
from mlgsearch.records import TrialState
from mlgsearch.results.read.trial_details import curves_of

#: Height in pixels of the charts beside the main one.
_SMALL = 340

_OUTPUTS = {
    "front": Output("study-chart", "figure"),
    "front_summary": Output("study-chart-summary", "children"),
    "parallel": Output("study-lines", "children"),
    "is_parallel": Output("study-front", "hidden"),
    "moment": Output("study-moment", "children"),
    "chips": Output("study-chips-set", "nodes"),
    "left_out": Output("study-left-out-said", "nodes"),
    "course": Output("study-course", "figure"),
    "course_summary": Output("study-course-summary", "children"),
    "curves": Output("study-curves", "figure"),
    "curves_summary": Output("study-curves-summary", "children"),
    "cards": Output("study-cards", "children"),
    "choice": Output("study-choice", "children"),
    "picked": Output("study-picked-said", "nodes"),
    "is_selected": Output("study-choose", "hidden"),
    "state": Output("study-state-line", "nodes"),
    "running": Output("study-running", "nodes"),
    "resuming": Output("study-stopped", "children"),
    "facts": Output("study-facts-known", "nodes"),
    "failures": Output("study-failures", "children"),
    "failures_title": Output("study-failures-title", "children"),
    "last": Output("study-replay", "max"),
    "replay": Output("study-replay", "value"),
    "drawn": Output("study-drawn", "data"),
}


def _layout(database: Database, view: View) -> Component:
    name = view.query.one("name")
    data = read_study(database, name)
    shown = StudyView.of(view.query)
    parts = page_parts(database, data, shown, view.scheme, {})
    return html.Div(
        [
            html.A(
                "To the trials",
                href="#study-table",
                className="skip",
                **attributes(data_first="tbody a"),
            ),
            html.Div(
                [
                    html.H1(name),
                    link("Compare with other studies", "/compare", name=name),
                ],
                className="title",
            ),
            html.Section(
                [
                    html.Div(
                        [
                            Markup(parts["state"], id="study-state-line"),
                            html.Div(parts["resuming"], id="study-stopped"),
                            Markup(parts["running"], id="study-running"),
                        ],
                        id="study-state",
                        role="status",
                    ),
                    html.Div(
                        Markup(parts["facts"], id="study-facts-known"),
                        id="study-facts",
                        role="status",
                    ),
                    origin(data.record),
                ],
                className="card",
                **attributes(aria_label="State"),
            ),
            dcc.Store(id="study-drawn", data=parts["drawn"]),
            dcc.Store(id=view_id(SELECTED), data=[str(number) for number in shown.selected]),
            dcc.Store(id=view_id(ZOOM), data=view.query.one(ZOOM)),
            dcc.Store(id=view_id(UNTIL), data=view.query.one(UNTIL)),
            controls(view.query, data),
            html.Div(
                Markup(parts["chips"], id="study-chips-set"),
                id="study-chips",
                role="status",
                **attributes(aria_label="Filters"),
            ),
            html.Div(
                [
                    html.Div(
                        [
                            html.Div(
                                chart(
                                    "study-chart",
                                    parts["front"],
                                    title="Accuracy against size",
                                    summary=parts["front_summary"],
                                    file=f"{name}-front",
                                    table="study-table",
                                    # A sketch has no strip below the trials.
                                    is_sketched="yaxis3" not in parts["front"]["layout"],
                                    selects=True,
                                ),
                                id="study-front",
                                hidden=parts["is_parallel"],
                            ),
                            html.Div(parts["parallel"], id="study-lines"),
                            replay(data, shown, parts["moment"]),
                        ],
                        className="charts",
                    ),
                    html.Div(
                        [
                            card(
                                "Choose a student",
                                choose_form(view.query, data.results),
                                html.Div(parts["choice"], id="study-choice", role="status"),
                                id="study-choose",
                                hidden=parts["is_selected"],
                            ),
                            card(
                                "Selected trials",
                                html.Div(parts["cards"], id="study-cards"),
                                id=INSPECTOR,
                                classes="card selected",
                            ),
                            chart(
                                "study-curves",
                                parts["curves"],
                                title="Learning curves",
                                summary=parts["curves_summary"],
                                file=f"{name}-curves",
                                table=CURVES_TABLE.folded(view.query),
                                height=_SMALL,
                            ),
                        ],
                        className="inspector",
                    ),
                ],
                className="bench",
            ),
            card(
                "Trials",
                table_tools(data, view.query),
                html.Div(
                    Markup(parts["left_out"], id="study-left-out-said"),
                    id="study-left-out",
                    role="status",
                ),
                html.Div(TRIALS_TABLE.render(database, view.query), id="study-table"),
            ),
            chart(
                "study-course",
                parts["course"],
                title="Hypervolume over trials",
                summary=parts["course_summary"],
                file=f"{name}-hypervolume",
                table=COURSE_TABLE.folded(view.query),
                height=_SMALL,
            ),
            html.Details(
                [
                    html.Summary(parts["failures_title"], id="study-failures-title"),
                    html.Div(parts["failures"], id="study-failures"),
                ],
                id=FAILURES,
                className="card",
            ),
            # reach.js says where the inspector is out of view.
            html.Div(
                Markup(parts["picked"], id="study-picked-said"),
                id="study-picked",
                role="status",
                **attributes(data_away_from=f"#{INSPECTOR}"),
            ),
        ],
        className="study",
    )


def page_parts(
    database: Database,
    data: StudyData,
    view: StudyView,
    scheme: Scheme,
    drawn: Mapping[str, str],
) -> dict[str, Any]:
    """Return what the page shows, but ``no_update`` for what was drawn the same before.

    ``drawn`` and its successor hold a digest for each part: of what it follows from, or of what is
    shown of it, where that is often the same.
    """
    parts: dict[str, Any] = dict.fromkeys(_OUTPUTS, no_update)
    name, driving = data.record.name, database.driving(data.record.name)
    drawing = "parallel" if view.is_parallel else "front"
    left = data.filtered(view).selected(data.columns, view) if view.selected else []
    digests = {
        drawing: data.digest(view, scheme),
        "state": data.state_digest(driving),
        **_digests(data, view, scheme, left),
    }
    news = {part for part, known in digests.items() if drawn.get(part) != known}

    def show(part: str, content: Any) -> None:
        digests[part] = digest(content)
        if drawn.get(part) != digests[part]:
            parts[part] = content
            news.add(part)

    if "front" in news or not drawn:  # at first it is placed, seen or not
        picture = picture_of(data, view)
        zoom = read_zoom(view.zoom, picture.axis, picture.scale)
        parts["front"] = front_chart(picture, scheme, zoom)
        parts["front_summary"] = tell_front(picture) + tell_objectives(data.record.objectives)
    if "parallel" in news:
        parts["parallel"] = draw_parallel(
            parallel_of(database, data, view), name, scheme, is_there="parallel" in drawn
        )
    if drawing not in drawn:
        parts["is_parallel"] = view.is_parallel
        if not view.is_parallel:
            parts["parallel"] = None
    show("moment", tell_moment(data, view))
    if "filtered" in news:
        show("chips", nodes_of(chips(data, view)))
        show("left_out", nodes_of(left_out(data, view)))
    if "course" in news:
        parts["course"] = hypervolume_chart(
            data.columns, data.course, scheme, seen=data.results_until(view.until)
        )
        parts["course_summary"] = tell_hypervolume(data)
    if "curves" in news:
        parts["curves"], parts["curves_summary"] = _curves(database, data, view, scheme, left)
    if "chosen" in news:
        show("cards", lighten(inspect(database, data, view, scheme)))
        show("picked", nodes_of(picked(data, view)))
        show("is_selected", bool(len(data.columns.rows_of(view.selected))))
    if "limited" in news:
        show("choice", lighten(chosen_student(database, data.results, view.limit)))
    if "facts" in news:
        parts["facts"] = nodes_of(facts(data))
    show("last", last_moment(data.columns))
    if "last" in news and view.until is None:
        parts["replay"] = parts["last"]
    if "state" in news:
        parts["state"] = nodes_of(state_line(database, data, driving))
        show("running", nodes_of(running(data, driving)))
        show("resuming", lighten(resuming(database, data, driving)))
    if "failures" in news:
        parts["failures"] = lighten(failures(database, name))
        parts["failures_title"] = failures_title(data)
    # What was not looked at is as it was; but of the two drawings one is there.
    kept = {part: known for part, known in drawn.items() if part not in ("front", "parallel")}
    parts["drawn"] = kept | digests if news else no_update
    return parts


def _digests(
    data: StudyData, view: StudyView, scheme: Scheme, left: Sequence[int]
) -> dict[str, str]:
    """Return for each part a digest of what it follows from, apart from the drawing and the state.

    ``left`` are the selected trials that the filters leave.
    """
    written = data.written(view.selected)
    return {
        "filtered": data.digest(view.filters, view.found),
        "course": data.finished_digest(view.until, scheme),
        # Of trials that were not chosen there is nothing to show.
        "chosen": data.digest(view.filters, view.selected, scheme, written)
        if view.selected
        else scheme,
        "curves": digest((view.selected, left, written, data.record.teacher_accuracy, scheme)),
        "limited": data.digest(view.limit),
        "facts": data.finished_digest(data.results.reached.counts),
        "failures": data.failures_digest(),
    }


def _curves(
    database: Database, data: StudyData, view: StudyView, scheme: Scheme, left: Sequence[int]
) -> tuple[go.Figure, str]:
    """Draw the learning curves of the selected trials that the filters leave; and say it."""
    curves = {
        number: epochs
        for number, epochs in curves_of(database.engine, data.record.name, view.selected).items()
        if number in left
    }
    failed = _failed(data, left)
    figure = curves_chart(
        curves,
        view.selected,
        scheme,
        empty=without_curves(view.selected, left, failed),
        teacher_accuracy=data.record.teacher_accuracy,
    )
    return figure, tell_curves(curves, view.selected, left, failed)


def _failed(data: StudyData, numbers: Sequence[int]) -> list[int]:
    """Return those of some trials that failed."""
    rows = data.columns.rows_of(numbers)
    failed: list[int] = data.columns.number[
        rows[data.columns.is_in(TrialState.FAIL)[rows]]
    ].tolist()
    return failed


def _register(app: Dash, database: Database) -> None:
    @app.callback(
        _OUTPUTS,
        Input(CHANGE_TOKEN, "data"),
        Input(VIEW, "data"),
        Input(SCHEME, "data"),
        State("study-drawn", "data"),
        prevent_initial_call=True,
    )
    def _follow(
        token: str, asked: Mapping[str, Any], scheme: Scheme, drawn: Mapping[str, str]
    ) -> dict[str, Any]:
        query = Query(asked)
        database.trust(query.one("name"), token)
        try:
            data = read_study(database, query.one("name"))
        except StudyNotFoundError:  # deleted meanwhile: what was shown stays
            return dict.fromkeys(_OUTPUTS, no_update)
        return page_parts(database, data, StudyView.of(query), scheme, drawn)

    register_in_browser(app)


PAGE = Page(
    path="/study",
    title=lambda query: query.one("name"),
    layout=_layout,
    register=_register,
    tables=(TRIALS_TABLE, CURVES_TABLE, COURSE_TABLE),
)
