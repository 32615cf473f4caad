"""All studies of the database: which run, how far they are, which to compare."""

from collections.abc import Mapping
from typing import Any

from dash import Dash, Input, Output, dcc, html
from dash.development.base_component import Component

from dashboard.database import Database
from dashboard.pages.studies.table import PICK, SEARCH, SHOW, SHOWN, TABLE
from dashboard.parts.markup import lighten
from dashboard.parts.menu import menu
from dashboard.parts.page import VIEW, Page, View, link, notice, view_id
from dashboard.query import Query


def _layout(database: Database, view: View) -> Component:
    if not database.studies():
        return notice(
            "This database holds no studies yet. Start one; it shows here as soon as it begins:",
            html.Code(database.command("launch", "studies/digits.yaml")),
        )
    query = view.query
    return html.Div(
        [
            html.Div(
                [html.H1("Studies"), html.Div(_compare(query), id="studies-compare")],
                className="head",
            ),
            html.Div(
                [
                    html.Div(
                        [
                            html.Label(
                                [
                                    html.Span("Search"),
                                    dcc.Input(
                                        id=view_id(SEARCH),
                                        type="search",
                                        value=query.one(SEARCH),
                                        placeholder="name, model or data",
                                        debounce=0.2,
                                    ),
                                ]
                            ),
                            menu(
                                "Show",
                                SHOW,
                                SHOWN,
                                query.choice(SHOW, SHOWN, "all"),
                                default="all",
                            ),
                        ],
                        className="controls",
                    ),
                    dcc.Store(id=view_id(PICK), data=list(query.all(PICK))),
                    TABLE.render(database, query),
                ],
                className="card",
            ),
        ]
    )


def _compare(query: Query) -> Component:
    picked = query.all(PICK)
    if len(picked) < 2:
        return html.Span("Tick two or more studies to compare their fronts.", className="faint")
    return link(f"Compare {len(picked)} studies", "/compare", name=picked, classes="button primary")


def _register(app: Dash, _database: Database) -> None:
    @app.callback(
        Output("studies-compare", "children"), Input(VIEW, "data"), prevent_initial_call=True
    )
    def _picked(view: Mapping[str, Any]) -> Any:
        return lighten(_compare(Query(view)))


PAGE = Page(
    path="/",
    title=lambda _query: "Studies",
    layout=_layout,
    register=_register,
    tables=(TABLE,),
)
