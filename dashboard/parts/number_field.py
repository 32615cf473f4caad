"""A field for a number from 0 on, whose value belongs to the address."""

from dash import dcc, html
from dash.development.base_component import Component

from dashboard.parts.page import view_id
from dashboard.query import Query


def number_field(
    label: Component | str,
    parameter: str,
    query: Query,
    *,
    step: int | str = "any",
    debounce: float | bool = 0.3,
) -> html.Label:
    """Place a field; ``debounce`` is how many seconds it waits, or True until it is left."""
    return html.Label(
        [
            label,
            dcc.Input(
                id=view_id(parameter),
                type="number",
                min=0,
                step=step,
                value=query.one(parameter) or None,
                debounce=debounce,
            ),
        ]
    )
