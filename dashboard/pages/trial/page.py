"""One trial: what it is, what it costs, how it learned, and how to take it home."""

from collections.abc import Mapping
from typing import Any

from dash import Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component

from dashboard.charts.learning_chart import learning_chart, learning_summary
from dashboard.database import Database
from dashboard.pages.trial.data import TrialData, epoch_rows, layer_rows, run_rows
from dashboard.pages.trial.facts import around, facts, origin, take_home
from dashboard.parts.chart import chart
from dashboard.parts.markup import lighten
from dashboard.parts.page import CHANGE_TOKEN, SCHEME, VIEW, Page, Scheme, View, link
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
    empty="No epoch is finished yet.",
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
            html.Section(
                [html.H2("Take it home"), html.Div(take_home(database, data), id="trial-home")],
                className="card",
            ),
            html.Section(
                [html.H2("Its neighbours on the front"), html.Div(around(data), id="trial-around")],
                className="card",
            ),
            chart(
                "trial-learning",
                learning_chart(
                    data.epochs,
                    view.scheme,
                    epochs_wanted=trial.epochs_wanted,
                    state=trial.state,
                    teacher_accuracy=data.study.teacher_accuracy,
                ),
                title="How it learned",
                summary=learning_summary(data.epochs),
                file=f"trial-{trial.number}-{name}",
                table=EPOCHS.folded(view.query),
            ),
            html.Section(
                [html.H2("Settings"), SETTINGS.render(database, view.query)], className="card"
            ),
            html.Section(
                [html.H2("Verification"), RUNS.render(database, view.query)], className="card"
            ),
            html.Div(origin(data), id="trial-origin"),
        ]
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
            learning_chart(
                data.epochs,
                scheme,
                epochs_wanted=data.trial.epochs_wanted,
                state=data.trial.state,
                teacher_accuracy=data.study.teacher_accuracy,
            ),
            learning_summary(data.epochs),
            shown,
        )


PAGE = Page(
    path=PATH,
    title=lambda query: f"Trial {query.one('number')} of {query.one('name')}",
    layout=_layout,
    register=_register,
    tables=(SETTINGS, EPOCHS, RUNS),
)
