"""What a page is: the contract between `dashboard.app` and the modules in `dashboard.pages`.

**A page** is a module ``dashboard/pages/x/page.py`` (or ``dashboard/pages/x.py`` where that is all)
with a constant ``PAGE``, listed in `dashboard.app.PAGES`. It never talks to Flask, keeps nothing
between requests, and takes all it shows from the `Database` it is given. The addresses:

    /                                            studies
    /study?name=NAME                             one study
    /study/layers?name=NAME                      its layers along the front
    /study/trial?name=NAME&number=N              one trial
    /study/importance?name=NAME                  which layers matter
    /compare?name=NAME&name=NAME...              several studies

On each page of a study the frame's head leads to the others. Write an address with
`query.address`, which quotes any name, and an inner link with `link`.

**Loading.** On each way to a page ``layout(database, view)`` is called and gives the finished
first view: figures and tables filled from ``view.query``, drawn in ``view.scheme``. Meanwhile the
frame says that it loads. A `UserError` (unknown study, no such trial, database away) is shown by
the frame as a sentence. An empty page is a `notice` that says what to do; a page with a notice and
no "card" is made anew with the next news. Callbacks belong to ``register(app, database)`` and have
``prevent_initial_call=True``. Their ids start with the page's name ("study-chart"), because all
pages share one app. One that raises a `UserError`, as when its study was deleted, leaves it as a
notice in the page's place.

**Following.** The frame looks once a second whether what the page is about has changed (all studies
where the address has no ``name``), and then puts a new text into the store ``CHANGE_TOKEN``. So a
callback with ``CHANGE_TOKEN`` as Input runs only where there is news. It should ask
``database.trials(name)``, which reads only what changed, and answer ``no_update`` or a ``Patch``
where it can. Every figure has a constant ``uirevision`` (what it shows, for example the axes), so
that zoom and legend stay. While the database is away CHANGE_TOKEN stops and a banner says so; a
callback that meets ``StorageError`` or a database's error then changes nothing, without the page's
doing anything.

**The view in the address.** A control takes part by its id alone: ``id=view_id("x", "accuracy")``
names the parameter, and the default, which is not written. It may be any component with ``value``
(text, number, list of them), or a ``dcc.Store`` with ``data`` for what is no control, such as a
selection. The frame writes the values into the address without loading the page, and into the store
``VIEW``, from which callbacks take them: ``Query(view_data)``. ``layout`` gives each control its
value from ``view.query``. The identity (``name``, ``number``) is in VIEW as well. A plain button
with ``data-set`` (parameter), ``data-default`` and ``data-value`` sets such a store when it is
clicked; with ``data-toggle`` in place of ``data-set`` it adds the value to the store's list, or
takes it out.

**Light and dark.** The store ``SCHEME`` holds "light" or "dark", also when the system's setting
changes later: figures take it as Input, and their template from `theme` (`dress`, `template`).

**Tables** are `table.Table` objects in ``Page.tables``: columns, and a function that gives all rows
as plain data from the database and the query. ``layout`` places
``TABLE.render(database, view.query)``, or ``TABLE.folded(view.query)`` as the table of a chart;
sorting, paging, following and the downloads ``/download/KEY.csv`` and ``.json`` of all rows (text
that a spreadsheet would run is escaped) are the frame's.

**Charts** are placed with `chart.chart`, which adds the summary in words and the buttons PNG and
SVG. The one that a page is opened for may be seen before plotly has run (``is_sketched``).

**Elements without an id** can't be a callback's. The frame sends those of a layout as `Markup`,
which spares the browser most of its work; a callback that gives elements calls `markup.lighten`.

**Commands** to copy are written by ``database.command("export", name, ...)``, which quotes.

**Security.** No inline script and no ``eval`` run: JavaScript is in ``assets``, is called by
``ClientsideFunction``, and no figure uses WebGL. Names, errors and whatever else comes from the
database are children of components, never Markdown or HTML; in figures `theme.text` escapes them.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from dash import Dash, html
from dash.development.base_component import Component

from dashboard.database import Database
from dashboard.parts.attributes import attributes
from dashboard.parts.table import Table
from dashboard.query import Query, address

#: Ids of the frame's stores, all read through ``data``.
CHANGE_TOKEN = "change-token"
VIEW = "view"
SCHEME = "scheme"

Scheme = Literal["light", "dark"]


@dataclass(frozen=True)
class View:
    """How a page is looked at: the address's parameters, and the colours."""

    query: Query
    scheme: Scheme


@dataclass(frozen=True)
class Page:
    """One page; ``title`` is the browser's, without the product's name."""

    path: str
    title: Callable[[Query], str]
    layout: Callable[[Database, View], Component]
    register: Callable[[Dash, Database], None]
    tables: tuple[Table, ...] = ()


def view_id(parameter: str, default: str = "") -> dict[str, str]:
    """Return the id of a control whose value belongs to the address."""
    return {"view": parameter, "default": default}


def link(
    children: Component | str, path: str, /, *, classes: str | None = None, **parameters: object
) -> html.A:
    """Make a link to a page of the dashboard, where the browser stays on its page (frame.js)."""
    return html.A(
        children, href=address(path, **parameters), className=classes, **attributes(data_page="")
    )


def notice(sentence: str, *more: Component | str) -> html.Div:
    """Return a notice in place of a page's content: what is missing, and what to do."""
    return html.Div([html.P(sentence), *(html.P(part) for part in more)], className="notice")


def card(title: str, *content: Component, classes: str = "card", **more: Any) -> html.Section:
    """Place content in a card with a heading; ``more`` are the card's own attributes."""
    return html.Section([html.H2(title), *content], className=classes, **more)


def facts_list(rows: Iterable[tuple[str, Component | str]]) -> html.Dl:
    """Place facts by name."""
    return html.Dl(
        [html.Div([html.Dt(name), html.Dd(value)]) for name, value in rows], className="facts"
    )
