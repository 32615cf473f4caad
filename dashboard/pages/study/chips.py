"""What narrows the view of a study, each as a chip that is removed by a click."""

import math
from collections.abc import Sequence

from dash import html
from dash.development.base_component import Component

from dashboard.pages.study.data import StudyData, tell_moment
from dashboard.pages.study.view import ACCURACY, FRONT, HIDE, ONLY, RATIO, UNTIL, StudyView
from dashboard.parts.attributes import attributes
from dashboard.parts.states import STATE_WORDS

_CROSS = "\N{MULTIPLICATION SIGN}"


def chips(data: StudyData, view: StudyView) -> list[Component]:
    """Return a button per filter that is set, and how many trials are left; empty without filters.

    ``assets/study.js`` takes a filter back: ``data-clear`` names its parameters, ``data-value`` the
    one of several values that goes.
    """
    shown = [
        *_range("accuracy", view.accuracy, ACCURACY, " %"),
        *_range("memory ratio", view.ratio, RATIO, ""),
        *(
            _chip(f"without {word}", [HIDE], value=state)
            for state, word in STATE_WORDS.items()
            if state in view.hidden
        ),
    ]
    if view.is_front_only:
        shown.append(_chip("the front only", [ONLY], value=FRONT))
    if (moment := tell_moment(data, view)) != "now":
        shown.append(_chip(f"replay: {moment}", [UNTIL]))
    if not shown:
        return []
    left = len(data.filtered(view).rows)
    return [
        html.Span(f"{left:,} of {len(data.columns):,} trials:", className="faint"),
        *shown,
        *([_clear_all()] if len(shown) > 1 else []),
    ]


def _range(
    what: str, bounds: tuple[float, float], names: tuple[str, str], unit: str
) -> list[Component]:
    low, high = (f"{bound:g}{unit}" if math.isfinite(bound) else "" for bound in bounds)
    if not low and not high:
        return []
    ends = [f"from {low}" if low else "", f"to {high}" if high else ""]
    return [_chip(" ".join([what, *filter(None, ends)]), names)]


def _chip(text: str, parameters: Sequence[str], *, value: str = "") -> html.Button:
    return html.Button(
        [text, html.Span(_CROSS, **attributes(aria_hidden="true"))],
        type="button",
        className="chip",
        title=f"Remove this filter: {text}",
        **attributes(data_clear=" ".join(parameters), data_value=value or None),
    )


def _clear_all() -> html.Button:
    every = (*ACCURACY, *RATIO, HIDE, ONLY, UNTIL)
    return html.Button(
        "Clear all", type="button", className="link", **attributes(data_clear=" ".join(every))
    )
