"""One trial: what it is, what it costs, how it learned, and how to export and verify it."""

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go
from dash import Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component

from dashboard.charts.learning_chart import learning_chart, learning_summary
from dashboard.database import Database
from dashboard.pages.trial.data import TrialData, epoch_rows, layer_rows, run_rows
from dashboard.pages.trial.facts import around, facts, origin, take_home
from dashboard.parts.chart import chart
from dashboard.parts.markup import lighten
from dashboard.parts.page import CHANGE_TOKEN, SCHEME, VIEW, Page, Scheme, View, card, link
from dashboard.parts.table import Column, Table
from dashboard.parts.values.cells import SETTING, number, percent, size
from dashboard.query import Query

PATH = "/study/trial"

SETTINGS = Table(
    key="trial-settings",
    label="Settings, layer by layer",
    columns=(
        Column("layer", "layer"),
        Column("shape", "shape"),
        *SETTING,
        percent("damage", "predicted damage", digits=1),
        number("projection_error", "projection error", "{:.3f}", hint="Relative, before training"),
    ),
    rows=layer_rows,
    page_size=50,
    empty="This trial has no settings.",
)
EPOCHS = Table(
    key="trial-epochs",
    label="Epochs",
    columns=(
        number("epoch", "epoch"),
        percent("validation_accuracy", "validation accuracy"),
        number("validation_loss", "validation loss", "{:.4f}"),
        percent("train_accuracy", "training accuracy"),
        number("train_loss", "training loss", "{:.4f}"),
        number("learning_rate", "learning rate", "{:.2e}"),
        number("epoch_s", "seconds", "{:.2f}"),
    ),
    rows=epoch_rows,
    empty="No epoch was finished.",
)
RUNS = Table(
    key="trial-runs",
    label="Verification runs",
    columns=(
        number("seed", "seed"),
        number("epochs", "epochs"),
        Column("state", "state"),
        percent("test_accuracy", "test accuracy"),
        percent("packed_accuracy", "from the packed file"),
        percent("validation_accuracy", "validation accuracy"),
        size("packed_bytes", "packed file"),
        number("seconds", "seconds", "{:.1f}"),
        Column("error", "error"),
    ),
    rows=run_rows,
    extra=("test_samples",),
    empty="This trial has not been verified yet.",
)


def _layout(database: Database, view: View) -> Component:
    data = TrialData.read(database, view.query)
    name, trial = data.study.name, data.trial
    return html.Div(
        [
            html.H1([f"Trial {trial.number} of ", link(name, "/study", name=name)]),
            dcc.Store(id="trial-shown", data=data.shown(view.scheme)),
            html.Div(facts(data), id="trial-facts"),
            card("Export and verify", html.Div(take_home(database, data), id="trial-home")),
            card("Its neighbours on the front", html.Div(around(data), id="trial-around")),
            chart(
                "trial-learning",
                _learning(data, view.scheme),
                title="How it learned",
                summary=learning_summary(data.epochs, trial.state),
                file=f"trial-{trial.number}-{name}",
                table=EPOCHS.folded(view.query),
            ),
            card("Settings", SETTINGS.render(database, view.query)),
            card("Verification", RUNS.render(database, view.query)),
            html.Div(origin(data), id="trial-origin"),
        ]
    )


def _learning(data: TrialData, scheme: Scheme) -> go.Figure:
    return learning_chart(
        data.epochs,
        scheme,
        epochs_wanted=data.trial.epochs_wanted,
        state=data.trial.state,
        teacher_accuracy=data.study.teacher_accuracy,
    )


def _register(app: Dash, database: Database) -> None:
    @app.callback(
        Output("trial-home", "children"),
        Output("trial-around", "children"),
        Output("trial-facts", "children"),
        Output("trial-origin", "children"),
        Output("trial-learning", "figure"),
        Output("trial-learning-summary", "children"),
        Output("trial-shown", "data"),
        Input(CHANGE_TOKEN, "data"),
        Input(SCHEME, "data"),
        State(VIEW, "data"),
        State("trial-shown", "data"),
        prevent_initial_call=True,
    )
    def _follow(
        _token: str, scheme: Scheme, view: Mapping[str, Any], before: str
    ) -> tuple[Any, ...]:
        data = TrialData.read(database, Query(view))
        shown = data.shown(scheme)
        if shown == before:
            return (no_update,) * 7
        return (
            lighten(take_home(database, data)),
            lighten(around(data)),
            lighten(facts(data)),
            lighten(origin(data)),
            _learning(data, scheme),
            learning_summary(data.epochs, data.trial.state),
            shown,
        )


PAGE = Page(
    path=PATH,
    title=lambda query: f"Trial {query.one('number')} of {query.one('name')}",
    layout=_layout,
    register=_register,
    tables=(SETTINGS, EPOCHS, RUNS),
)
