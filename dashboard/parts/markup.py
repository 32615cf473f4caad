"""Elements that no callback speaks to, drawn without what Dash keeps of each component.

At each of the many steps of a callback, Dash's renderer asks every component of the page whether it
has changed (dash 4.4, ``DashWrapper``): on the page of a study that was most of an update's work.
Elements without an id can't be addressed, so a page sends them as one component, `Markup`, which
``assets/markup.js`` draws with React as Dash would have.
"""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import groupby
from typing import Any

from dash.development.base_component import Component

#: A text, or an element: its name, its attributes as React's properties, its children.
Node = str | list[Any]

_HTML = "dash_html_components"


class Markup(Component):
    """Elements side by side, as one component.

    A callback that changes the ``nodes`` of one with an ``id`` leaves the elements that are the
    same in place, and with them what has the focus; new children of a component are all made anew.
    ``drawn`` and ``is_open`` are for the callback's own use.
    """

    _namespace = "dashboard"
    _type = "Markup"
    nodes: list[Node]

    def __init__(
        self,
        nodes: Sequence[Node],
        id: dict[str, str] | str | None = None,
        drawn: str | None = None,
        is_open: bool | None = None,
    ):
        self._prop_names = ["id", "nodes", "drawn", "is_open"]
        self._valid_wildcard_attributes = []
        given = {} if id is None else {"id": id, "drawn": drawn, "is_open": is_open}
        super().__init__(nodes=list(nodes), **given)  # type: ignore[no-untyped-call]


def digest(content: object) -> str:
    """Return a text that differs when elements, nodes or texts do."""
    return sha256(repr(content).encode()).hexdigest()[:16]


def nodes_of(parts: Sequence[Component]) -> list[Node]:
    """Return elements, of which none has an id, as nodes."""
    nodes = [_node(part) for part in parts]
    assert None not in nodes, f"an element with an id among {parts}"
    return [node for node in nodes if node is not None]


def lighten(part: Any) -> Any:
    """Return what a page or a callback shows, with `Markup` for all that has no id.

    Args:
        part: a component, a text, None, or a list of them; components are changed in place.
    """
    if isinstance(part, list | tuple):
        return _lighten_all(part)
    if not isinstance(part, Component):
        return part
    node = _node(part)
    if node is not None:
        return Markup([node])
    children = getattr(part, "children", None)
    if children is not None:
        part.children = lighten(children)
    return part


def _lighten_all(parts: Sequence[Any]) -> list[Any]:
    """Lighten siblings: elements without an id next to each other become one component."""
    nodes = [(part, _node(part)) for part in parts if part is not None]
    shown: list[Any] = []
    for is_plain, group in groupby(nodes, key=lambda pair: pair[1] is not None):
        pairs = list(group)
        if is_plain and any(isinstance(part, Component) for part, _ in pairs):
            shown.append(Markup([node for _, node in pairs if node is not None]))
        else:
            shown += [lighten(part) for part, _ in pairs]
    return shown


def _node(part: Any) -> Node | None:
    """Return an element as a node; None where it, or one within, belongs to Dash."""
    if not isinstance(part, Component):
        return str(part)
    described = part.to_plotly_json()  # type: ignore[no-untyped-call]
    properties = dict(described["props"])
    if described["namespace"] != _HTML or "id" in properties:
        return None
    children = []
    for child in _listed(properties.pop("children", None)):
        node = _node(child)
        if node is None:
            return None
        children.append(node)
    return [described["type"].lower(), properties, children]


def _listed(children: Any) -> Iterator[Any]:
    if isinstance(children, list | tuple):
        yield from (child for child in children if child is not None)
    elif children is not None:
        yield children
