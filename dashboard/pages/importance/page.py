"""Which layers matter: how far each layer's numbers moved the accuracy of a study's trials."""

from collections.abc import Mapping
from typing import Any

from dash import Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component

from dashboard.charts.layers.importance_chart import importance_chart, importance_summary
from dashboard.database import Database
from dashboard.pages.importance.data import StudyImportance, is_uniform
from dashboard.parts.chart import chart
from dashboard.parts.menu import menu
from dashboard.parts.page import CHANGE_TOKEN, SCHEME, VIEW, Page, Scheme, View, link, notice
from dashboard.parts.table import Column, Table
from dashboard.parts.values.cells import number, percent
from dashboard.query import Query
from mlgsearch.results.analysis.effects.importance import LEAST_PER_FEATURE, MOST_TRIALS
from mlgsearch.results.analysis.effects.trial_sensitivity import LEAST_TRIALS

PATH = "/study/importance"

_SHARED = (
    "All layers of this study share their five numbers (space.kind: uniform), so what one layer "
    "did cannot be separated from the others; the numbers and the hyperparameters can. Search with "
    "space.kind: layerwise or allocation to learn which layers matter."
)

_ORDERS = {"importance": "most important first", "network": "as in the network"}


def _rows(database: Database, query: Query) -> list[dict[str, Any]]:
    return StudyImportance.read(database, query.one("name")).rows()


LAYERS = Table(
    key="importance-layers",
    label="What each layer did",
    columns=(
        Column("layer", "layer"),
        number("moved", "moved, points", "{:.2f}", scale=100),
        number("low", "from", "{:.2f}", scale=100, hint="Lower end of the 95 % interval"),
        number("high", "to", "{:.2f}", scale=100, hint="Upper end of the 95 % interval"),
        Column("is_clear", "stands out", lambda row: "yes" if row["is_clear"] else "no"),
        number("gain", "twice its bits, points", "{:+.2f}", scale=100),
        percent("predicted", "predicted spread", digits=1),
        number("cost", "all of it lost, points", "{:.1f}", scale=100),
        number("cost_error", "standard error", "{:.1f}", scale=100),
    ),
    rows=_rows,
    sort="-moved",
    page_size=50,
    empty="Not enough data to rank layers yet.",
)


def _layout(database: Database, view: View) -> Component:
    name = view.query.one("name")
    found = StudyImportance.read(database, name)
    heading = html.H1(["Which layers matter in ", link(name, "/study", name=name)])
    if found.importance is None:
        return html.Div([heading, _nothing(found)])
    order = _order(view.query)
    figure = importance_chart(found.importance, _places(found, order), found.predicted, view.scheme)
    return html.Div(
        [
            heading,
            *([html.P(_SHARED, className="notice")] if is_uniform(found.study) else []),
            html.P(found.certainty(), id="importance-certainty"),
            html.Div(
                menu("Order", "order", _ORDERS, order, default="importance"), className="controls"
            ),
            dcc.Store(id="importance-shown", data=_shown(found, order, view.scheme)),
            chart(
                "importance-chart",
                figure,
                title="What each layer did to accuracy",
                summary=_summary(found),
                file=f"importance-{name}",
                height=figure.layout.height,
                table=LAYERS.folded(view.query),
            ),
            _explanation(),
        ]
    )


def _register(app: Dash, database: Database) -> None:
    @app.callback(
        Output("importance-chart", "figure"),
        Output("importance-chart-summary", "children"),
        Output("importance-certainty", "children"),
        Output("importance-shown", "data"),
        Input(CHANGE_TOKEN, "data"),
        Input(VIEW, "data"),
        Input(SCHEME, "data"),
        State("importance-shown", "data"),
        prevent_initial_call=True,
    )
    def _follow(
        _token: str, view: Mapping[str, Any], scheme: Scheme, before: str
    ) -> tuple[Any, ...]:
        query = Query(view)
        found = StudyImportance.read(database, query.one("name"))
        order = _order(query)
        shown = _shown(found, order, scheme)
        if found.importance is None or shown == before:
            return (no_update,) * 4
        figure = importance_chart(found.importance, _places(found, order), found.predicted, scheme)
        return figure, _summary(found), found.certainty(), shown


def _order(query: Query) -> str:
    return query.choice("order", _ORDERS, "importance")


def _places(found: StudyImportance, order: str) -> list[int]:
    assert found.importance is not None
    layers = found.importance.layers
    places = list(range(len(layers)))
    if order == "importance":
        places.sort(key=lambda place: -layers[place].moved)
    return places


def _shown(found: StudyImportance, order: str, scheme: Scheme) -> str:
    """Return a text that differs when the chart would."""
    return repr((found.importance, order, scheme))


def _summary(found: StudyImportance) -> str:
    assert found.importance is not None
    said = importance_summary(found.importance)
    if found.agreement is None:
        return said
    words = (
        "much the same"
        if found.agreement > 0.6
        else ("a similar" if found.agreement > 0.3 else "another")
    )
    return f"{said} The plan expects {words} order (rank correlation {found.agreement:.2f})."


def _nothing(found: StudyImportance) -> html.Div:
    shared = [_SHARED] if is_uniform(found.study) else []
    return notice(
        f"This needs at least {LEAST_TRIALS} COMPLETE trials of different settings and "
        f"accuracies; the study has {found.complete} COMPLETE so far. It shows here as soon as "
        "there are enough.",
        *shared,
    )


def _explanation() -> html.Details:
    return html.Details(
        [
            html.Summary("What this means"),
            html.P(
                "A point is how far the layer's numbers moved accuracy from trial to trial, all "
                "else equal: one standard deviation, in percentage points. Its line is the 95 % "
                "interval; a layer whose interval lies above 0 stands out from chance. It is "
                "measured on trials that were left out of the fit, so a layer that did nothing "
                "lies around 0 or below. Hyperparameters are part of the same fit; with fewer than "
                f"{LEAST_PER_FEATURE} trials per number of the fit nothing is named."
            ),
            html.P(
                "A layer that hardly differed between trials moved nothing, however much it "
                "matters; and layers that always changed together share what they did. The five "
                "numbers of a layer count together, as do its bits. Trials that share another's "
                f"result count once; of more than {MOST_TRIALS:,} a fixed random part is taken."
            ),
            html.P(
                "Predicted is how much the plan's estimate of the layer's damage differed between "
                "the same trials. Where the two disagree, training repairs what the plan feared, "
                "or breaks what it did not see."
            ),
        ],
        open=True,
        className="card",
    )


PAGE = Page(
    path=PATH,
    title=lambda query: f"Layers that matter in {query.one('name')}",
    layout=_layout,
    register=_register,
    tables=(LAYERS,),
)
