"""Elements that no callback speaks to become one component; what has an id stays Dash's."""

from typing import Any

import pytest
from dash import dcc, html

from dashboard.app import PAGES
from dashboard.database import Database
from dashboard.parts.attributes import attributes
from dashboard.parts.markup import Markup, lighten, nodes_of
from dashboard.parts.page import View
from dashboard.query import Query
from tests.dashboard.samples import NASTY


def test_elements_become_nodes() -> None:
    row = html.Tr(
        [html.Th("B_in", scope="row"), None, html.Td([2, html.Code("q")])],
        className="odd",
        **attributes(data_view="x"),
    )
    light = lighten(row)
    assert isinstance(light, Markup)
    assert light.nodes == [
        [
            "tr",
            {"className": "odd", "data-view": "x"},
            [["th", {"scope": "row"}, ["B_in"]], ["td", {}, ["2", ["code", {}, ["q"]]]]],
        ]
    ]


def test_neighbours_without_an_id_become_one() -> None:
    light = lighten([html.P("a"), " and ", html.P("b"), html.Div("c", id="c"), html.P("d"), None])
    assert [type(part) for part in light] == [Markup, html.Div, Markup]
    assert light[0].nodes == [["p", {}, ["a"]], " and ", ["p", {}, ["b"]]]


def test_what_has_an_id_stays_with_all_above_it() -> None:
    page = html.Div([html.H1("Study"), html.Div(html.Span("now", id="now"), className="head")])
    light = lighten(page)
    assert light is page
    heading, head = page.children
    assert isinstance(heading, Markup)
    assert isinstance(head, html.Div)
    assert isinstance(head.children, html.Span)
    assert head.children.children == "now"


def test_an_id_among_nodes_is_a_mistake() -> None:
    assert nodes_of([html.P("a")]) == [["p", {}, ["a"]]]
    with pytest.raises(AssertionError, match="an element with an id"):
        nodes_of([html.P("a"), html.P("b", id="b")])


@pytest.mark.parametrize("part", ["text", None, ["a", "b"]])
def test_texts_stay_texts(part: Any) -> None:
    assert lighten(part) == part


def test_components_that_do_something_stay() -> None:
    light = lighten(html.Label([html.Span("Search"), dcc.Input(id="search")]))
    assert isinstance(light, html.Label)
    assert [type(child) for child in light.children] == [Markup, dcc.Input]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.path))
def test_a_page_has_no_component_that_nothing_needs(database: Database, page: Any) -> None:
    query = Query({"name": ["digits", NASTY], "number": ["0"]})
    light = lighten(page.layout(database, View(query, "light")))
    assert _needed(light) > 0


def _needed(part: Any) -> int:
    """Count the components with an id; each component has one, or one below it has."""
    if isinstance(part, list | tuple):
        return sum(_needed(child) for child in part)
    if isinstance(part, Markup) or not hasattr(part, "to_plotly_json"):
        return 0
    found = int(hasattr(part, "id")) + _needed(getattr(part, "children", None))
    assert found, f"{part} has no id, nor has any below it"
    return found
