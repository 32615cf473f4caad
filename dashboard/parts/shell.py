"""What surrounds every page: head, banner, content, and the stores that pages share."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from dash import (
    ALL,
    ClientsideFunction,
    Dash,
    Input,
    Output,
    State,
    dcc,
    html,
    no_update,
    set_props,
)
from dash.development.base_component import Component
from sqlalchemy.exc import DBAPIError

from dashboard.database import Database, trouble
from dashboard.parts.attributes import attributes
from dashboard.parts.copyable import copy_link
from dashboard.parts.markup import Markup, Node, digest, lighten, nodes_of
from dashboard.parts.page import CHANGE_TOKEN, SCHEME, VIEW, Page, View, link, notice
from dashboard.query import Query
from mlgsearch.errors import StorageError, UserError

PRODUCT = "mlgsearch"

_ROUTE: Final = "route"
#: What came with the page: its title, and the change token that it was made at.
_ARRIVED: Final = "arrived"
_TABS = {
    "Study": "/study",
    "Layers": "/study/layers",
    "Which layers matter": "/study/importance",
}


def frame() -> html.Div:
    """Return the part of the page that stays."""
    return html.Div(
        [
            dcc.Location(id="location", refresh=False),
            dcc.Store(id=_ROUTE),
            dcc.Store(id=VIEW, data={}),
            dcc.Store(id=CHANGE_TOKEN, data=""),
            dcc.Store(id=SCHEME),
            dcc.Store(id=_ARRIVED),
            html.A("To the content", href="#content", className="skip"),
            html.Header(
                html.Nav(
                    [
                        link(
                            html.Span([html.Span(className="mark"), PRODUCT], className="brand"),
                            "/",
                        ),
                        html.Div(id="place"),
                        Markup(nodes_of([copy_link()])),
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
    _register_in_browser(app)
    _register_content(app, database, pages)
    _register_tables(app, database, pages)


def _register_in_browser(app: Dash) -> None:
    in_browser: Callable[..., None] = app.clientside_callback
    in_browser(ClientsideFunction("frame", "scheme"), Output(SCHEME, "data"), Input(SCHEME, "id"))
    in_browser(
        ClientsideFunction("frame", "route"),
        Output(_ROUTE, "data"),
        Output(VIEW, "data", allow_duplicate=True),
        Input("location", "pathname"),
        Input("location", "search"),
        Input(SCHEME, "data"),
        State(_ROUTE, "data"),
        prevent_initial_call="initial_duplicate",
    )
    in_browser(
        ClientsideFunction("frame", "view"),
        Output(VIEW, "data"),
        Input({"view": ALL, "default": ALL}, "value"),
        Input({"view": ALL, "default": ALL}, "data"),
        State(VIEW, "data"),
    )
    in_browser(
        ClientsideFunction("frame", "arrived"),
        Output(_ARRIVED, "modified_timestamp"),
        Input(_ARRIVED, "data"),
    )


def _register_content(app: Dash, database: Database, pages: Sequence[Page]) -> None:
    by_path = {page.path: page for page in pages}

    @app.callback(
        Output("content", "children"),
        Output("place", "children"),
        Output(_ARRIVED, "data"),
        Input(_ROUTE, "data"),
        prevent_initial_call=True,
    )
    def _content(route: Mapping[str, Any]) -> tuple[Component, Component | None, dict[str, Any]]:
        page = by_path.get(route["path"])
        if page is None:
            sentence = "There is no page at this address."
            return notice(sentence, link("All studies", "/")), None, _arrived(PRODUCT, None)
        view = View(Query(route["query"]), route["scheme"])
        place, title, token = _place(page, view.query), f"{page.title(view.query)} - {PRODUCT}", ""
        try:
            # First, so that what changes meanwhile is news.
            token = database.change_token(view.query.all("name"))
            content = page.layout(database, view)
        except (StorageError, DBAPIError) as error:
            content = notice(trouble(error))
        except UserError as error:
            content, place = notice(str(error), link("All studies", "/")), None
        return lighten(content), lighten(place), _arrived(title, token)


def _register_tables(app: Dash, database: Database, pages: Sequence[Page]) -> None:
    tables = {table.key: table for page in pages for table in page.tables}
    rows, feet = {"table": ALL}, {"foot": ALL}

    @app.callback(
        Output(rows, "nodes"),
        Output(rows, "drawn"),
        Output(feet, "nodes"),
        Output(feet, "drawn"),
        Input(CHANGE_TOKEN, "data"),
        Input(VIEW, "data"),
        Input(rows, "is_open"),
        State(rows, "id"),
        State(rows, "drawn"),
        State(feet, "id"),
        State(feet, "drawn"),
        prevent_initial_call=True,
    )
    def _rows(
        token: str,
        view: Mapping[str, Any],
        is_open: Sequence[bool | None],
        row_ids: Sequence[Mapping[str, str]],
        drawn_rows: Sequence[str],
        foot_ids: Sequence[Mapping[str, str]],
        drawn_feet: Sequence[str],
    ) -> tuple[list[Any], ...]:
        query = Query(view)
        for study in query.all("name")[:1]:
            database.trust(study, token)
        # What is folded is not looked at; what can't be folded has None.
        found = {
            id_["table"]: tables[id_["table"]].drawn(database, query)
            for id_, looked_at in zip(row_ids, is_open, strict=True)
            if looked_at is not False
        }
        shown_rows = {key: drawn.rows for key, drawn in found.items()}
        shown_feet = {key: drawn.foot for key, drawn in found.items()}
        return (
            *_new([shown_rows.get(id_["table"]) for id_ in row_ids], drawn_rows),
            *_new([shown_feet.get(id_["foot"]) for id_ in foot_ids], drawn_feet),
        )


def _new(shown: Sequence[list[Node] | None], drawn: Sequence[str]) -> tuple[list[Any], list[Any]]:
    """Return the nodes that differ from what was drawn, and their digests."""
    digests = [
        then if nodes is None else digest(nodes) for nodes, then in zip(shown, drawn, strict=True)
    ]
    is_new = [now != then for now, then in zip(digests, drawn, strict=True)]
    return (
        [nodes if new else no_update for nodes, new in zip(shown, is_new, strict=True)],
        [now if new else no_update for now, new in zip(digests, is_new, strict=True)],
    )


def answer_trouble(error: Exception) -> None:
    """Meet what a page's callback raises: nothing of the page changes, or the page says why not.

    While the database is away the banner says so, and the page asks again until it is answered.
    A study that was deleted meanwhile leaves a notice. Any other error is ours.
    """
    if isinstance(error, StorageError | DBAPIError):
        # What the page has seen is not what it shows: the next change token is news, whatever it
        # is.
        set_props(_ARRIVED, {"data": {"change_token": "", "at": time.time()}})
        return
    if not isinstance(error, UserError):
        raise error
    set_props("content", {"children": lighten(notice(str(error), link("All studies", "/")))})


def _arrived(title: str, token: str | None) -> dict[str, str | None]:
    """Send the browser what came; without a change token the page waits for no news."""
    return {"title": title, "change_token": token}


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
