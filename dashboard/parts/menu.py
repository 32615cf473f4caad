"""A menu of choices: the browser's own, with a name, whose value belongs to the address."""

from collections.abc import Mapping

from dash import dcc, html

from dashboard.parts.attributes import attributes
from dashboard.parts.page import view_id


def menu(
    label: str, parameter: str, options: Mapping[str, str], value: str, *, default: str
) -> html.Div:
    """Place a menu of ``options`` (value to what is shown).

    What is chosen is the address's ``parameter``, which is not written where it is ``default``.
    """
    assert value in options, f"{value!r} is not in the menu of {label}"
    return html.Div(
        [
            dcc.Store(id=view_id(parameter, default), data=value),
            html.Label(
                [
                    html.Span(label),
                    html.Select(
                        [
                            html.Option(shown, value=option, selected=option == value)
                            for option, shown in options.items()
                        ],
                        **attributes(data_view=parameter, data_default=default),
                    ),
                ]
            ),
        ],
        className="menu",
    )
