"""What stands around every page: head, banner, content, and the stores that pages share."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from dash import ALL, MATCH, ClientsideFunction, Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component
from sqlalchemy.exc import DBAPIError

from dashboard.attributes import attributes
from dashboard.database import Database, trouble
from dashboard.page import PULSE, SCHEME, VIEW, Page, View, link, notice
from dashboard.query import Query
from mlgsearch.errors import StorageError, UserError

PRODUCT = "mlgsearch"
#: How often an open page asks whether there is news.
PULSE_MS = 1000

_ROUTE: Final = "route"
_TABS = {
    "Study": "/study",
    "Layers": "/study/layers",
    "Which layers matter": "/study/importance",
}


def frame() -> html.Div:
    """Give the part of the page that stays."""
    return html.Div(
        [
            dcc.Location(id="location", refresh=False),
            dcc.Interval(id="tick", interval=PULSE_MS),
            dcc.Store(id=_ROUTE),
            dcc.Store(id=VIEW, data={}),
            dcc.Store(id=PULSE, data=""),
            dcc.Store(id=SCHEME),
            dcc.Store(id="title"),
            html.A("To the content", href="#content", className="skip"),
            html.Header(
                html.Nav(
                    [
                        link(
                            html.Span([html.Span(className="mark"), PRODUCT], className="brand"),
                            "/",
                        ),
                        html.Div(id="place"),
                    ],
                    **attributes(aria_label="Pages"),
                )
            ),
            html.Div(id="banner", role="alert", hidden=True),
            html.Main(
                html.P("Loading\N{HORIZONTAL ELLIPSIS}", className="loading"),
                id="content",
                tabIndex="-1",
            ),
        ]
    )


def register(app: Dash, database: Database, pages: Sequence[Page]) -> None:
    """Make the frame work: from the address to the page, and from the page to the address."""
    in_browser: Callable[..., None] = app.clientside_callback
    in_browser(ClientsideFunction("frame", "scheme"), Output(SCHEME, "data"), Input(SCHEME, "id"))
    in_browser(
        ClientsideFunction("frame", "route"),
        Output(_ROUTE, "data"),
        Input("location", "pathname"),
        Input("location", "search"),
        Input(SCHEME, "data"),
        State(_ROUTE, "data"),
    )
    in_browser(
        ClientsideFunction("frame", "view"),
        Output(VIEW, "data"),
        Input({"view": ALL, "default": ALL}, "value"),
        Input({"view": ALL, "default": ALL}, "data"),
        State(_ROUTE, "data"),
        State(VIEW, "data"),
    )
    in_browser(
        ClientsideFunction("frame", "pulse"),
        Output(PULSE, "data"),
        Input("tick", "n_intervals"),
        State(VIEW, "data"),
        State(PULSE, "data"),
        prevent_initial_call=True,
    )
    in_browser(
        ClientsideFunction("frame", "title"),
        Output("title", "modified_timestamp"),
        Input("title", "data"),
    )
    by_path = {page.path: page for page in pages}

    @app.callback(
        Output("content", "children"),
        Output("place", "children"),
        Output("title", "data"),
        Input(_ROUTE, "data"),
        prevent_initial_call=True,
    )
    def _content(route: Mapping[str, Any]) -> tuple[Component, Component | None, str]:
        page = by_path.get(route["path"])
        if page is None:
            sentence = "There is no page at this address."
            return notice(sentence, link("All studies", "/")), None, PRODUCT
        view = View(Query(route["query"]), route["scheme"])
        place = _place(page, view.query)
        try:
            title = f"{page.title(view.query)} - {PRODUCT}"
            return page.layout(database, view), place, title
        except (StorageError, DBAPIError) as error:
            # The browser asks for the page again once the database is back.
            return html.Div(notice(trouble(error)), id="trouble"), place, PRODUCT
        except UserError as error:
            return notice(str(error), link("All studies", "/")), None, PRODUCT

    tables = {table.key: table for page in pages for table in page.tables}

    @app.callback(
        Output({"table": MATCH}, "children"),
        Input(PULSE, "data"),
        Input(VIEW, "data"),
        State({"table": MATCH}, "id"),
        prevent_initial_call=True,
    )
    def _rows(_pulse: str, view: Mapping[str, Any], id_: Mapping[str, str]) -> list[Component]:
        return tables[id_["table"]].body(database, Query(view))


def keep_what_is_shown(error: Exception) -> Any:
    """Leave the page as it is while the database is away; any other error is ours.

    The banner says what is wrong, and with the next pulse the callback runs again.
    """
    if isinstance(error, StorageError | DBAPIError):
        return no_update
    raise error


def _place(page: Page, query: Query) -> Component | None:
    """Show the pages of one study beside each other, on each of them."""
    if not page.path.startswith("/study"):
        return None
    name = query.one("name")
    return html.Div(
        [
            link(label, path, name=name)
            if path != page.path
            else html.Span(label, **attributes(aria_current="page"))
            for label, path in _TABS.items()
        ],
        className="tabs",
    )
