"""What narrows the view of a study, each as a chip that is removed by a click."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dash import html
from dash.development.base_component import Component

from dashboard.pages.study.data import StudyData, tell_moment
from dashboard.pages.study.view import ACCURACY, FRONT, HIDE, ONLY, RATIO, UNTIL, StudyView
from dashboard.parts.attributes import attributes
from dashboard.parts.values.states import STATE_WORDS

_CROSS = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True)
class _Filter:
    """One filter that is set: what it is called, and the view that has no other.

    It is taken back by its ``parameters``; of those it has one of several values, by that one.
    """

    words: str
    parameters: Sequence[str]
    alone: StudyView
    value: str | None = None

    @property
    def chip(self) -> html.Button:
        """What ``assets/study.js`` takes the filter back by."""
        return html.Button(
            [self.words, html.Span(_CROSS, **attributes(aria_hidden="true"))],
            type="button",
            className="chip",
            title=f"Remove this filter: {self.words}",
            **attributes(data_clear=" ".join(self.parameters), data_value=self.value),
        )


def chips(data: StudyData, view: StudyView) -> list[Component]:
    """Return a button per filter that is set, and how many trials are left; empty without any."""
    found = _filters(data, view)
    if not found:
        return []
    left = len(data.filtered(view).rows)
    return [
        html.Span(f"{left:,} of {len(data.columns):,} trials:", className="faint"),
        *(one.chip for one in found),
        *([_clear_all()] if len(found) > 1 else []),
    ]


def left_out(data: StudyData, view: StudyView) -> list[Component]:
    """Explain why the table does not show the trial to go to, with the chips of its filters.

    Empty where it is in the table, or none is asked for.
    """
    number = view.found
    if number is None:
        return []
    rows = data.columns.rows_of([number])
    if not len(rows):
        return [html.Span(f"This study has no trial {number}.")]
    if rows[0] in data.filtered(view).rows:
        return []
    found = [one for one in _filters(data, view) if rows[0] not in data.filtered(one.alone).rows]
    them = "a filter; remove it:" if len(found) == 1 else "filters; remove them:"
    return [html.Span(f"Trial {number} is left out by {them}"), *(one.chip for one in found)]


def _filters(data: StudyData, view: StudyView) -> list[_Filter]:
    """Return the filters of a view in the order of its controls."""
    found = [
        *_range("accuracy", view.accuracy, ACCURACY, " %", StudyView(accuracy=view.accuracy)),
        *_range("memory ratio", view.ratio, RATIO, "", StudyView(ratio=view.ratio)),
        *(
            _Filter(f"without {word}", [HIDE], StudyView(hidden=frozenset({state})), state.value)
            for state, word in STATE_WORDS.items()
            if state in view.hidden
        ),
    ]
    if view.is_front_only:
        # The front is that of the moment.
        alone = StudyView(is_front_only=True, until=view.until)
        found.append(_Filter("the front only", [ONLY], alone, FRONT))
    if (moment := tell_moment(data, view)) != "now":
        found.append(_Filter(f"replay: {moment}", [UNTIL], StudyView(until=view.until)))
    return found


def _range(
    what: str, bounds: tuple[float, float], names: tuple[str, str], unit: str, alone: StudyView
) -> list[_Filter]:
    low, high = (f"{bound:g}{unit}" if math.isfinite(bound) else "" for bound in bounds)
    if not low and not high:
        return []
    ends = [f"from {low}" if low else "", f"to {high}" if high else ""]
    return [_Filter(" ".join([what, *filter(None, ends)]), names, alone)]


def _clear_all() -> html.Button:
    every = (*ACCURACY, *RATIO, HIDE, ONLY, UNTIL)
    return html.Button(
        "Clear all", type="button", className="link", **attributes(data_clear=" ".join(every))
    )
