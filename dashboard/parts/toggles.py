"""Boxes to tick, each a value of a list in the address."""

from collections.abc import Collection, Mapping

from dash import dcc, html
from dash.development.base_component import Component

from dashboard.parts.attributes import attributes
from dashboard.parts.page import view_id


def toggles(
    legend: str, parameter: str, options: Mapping[str, str], value: Collection[str]
) -> html.Fieldset:
    """Place a box per option (value to what is shown); what is ticked is in the ``value``.

    They are buttons with the role of a checkbox: Dash's own have an option's, with a checkbox in
    it, which screen readers do not reach.
    """
    boxes = [_box(parameter, option, text, option in value) for option, text in options.items()]
    store = dcc.Store(id=view_id(parameter), data=[one for one in options if one in value])
    return html.Fieldset([store, html.Legend(legend), *boxes], className="toggles")


def toggling(
    words: str,
    parameter: str,
    value: str,
    *,
    title: str | None = None,
    label: str | None = None,
    classes: str | None = None,
) -> html.Button:
    """Make a button that adds a value to the list of a parameter, or takes it out.

    ``label`` is its name where ``words`` are not enough of one.
    """
    return html.Button(
        words,
        type="button",
        title=title,
        className=classes,
        **attributes(aria_label=label, data_toggle=parameter, data_value=value),
    )


def _box(parameter: str, option: str, text: str, is_ticked: bool) -> Component:
    return html.Button(
        text,
        type="button",
        role="checkbox",
        **attributes(
            aria_checked="true" if is_ticked else "false",
            data_toggle=parameter,
            data_value=option,
        ),
    )
