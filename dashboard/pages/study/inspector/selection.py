"""What is beside the chart: the selected trials, or how to choose one."""

import numpy as np
from dash import html
from dash.development.base_component import Component

from dashboard.database import Database
from dashboard.pages.study.data import StudyData
from dashboard.pages.study.filtered import Filtered
from dashboard.pages.study.inspector.cards import cards
from dashboard.pages.study.inspector.choosing import export
from dashboard.pages.study.inspector.what_differs import what_differs
from dashboard.pages.study.view import MOST_SELECTED, SELECTED, StudyView
from dashboard.parts.attributes import attributes
from dashboard.parts.page import Scheme
from dashboard.parts.values.states import STATE_WORDS
from mlgsearch.records import TrialState
from mlgsearch.results.analysis.trial_columns import STATES, Rows, TrialColumns
from mlgsearch.results.read.trial_page import some_trials

#: The id of what is said of the selected trials.
INSPECTOR = "study-selected"


def inspect(
    database: Database, data: StudyData, view: StudyView, scheme: Scheme
) -> list[Component]:
    """Return what is to be said of the selected trials that the filters leave: nothing of none.

    Of one trial its card, its rank, those before and after it, and the command that exports it; of
    several what differs. It holds elements with ids where there is a command to copy.
    """
    if not len(data.columns.rows_of(view.selected)):
        return []
    name, filtered = data.record.name, data.filtered(view)
    left = filtered.selected(data.columns, view)
    parts: list[Component] = [_head(data, filtered, left)]
    if len(left) > 1:
        trials = {trial.number: trial for trial in some_trials(database.engine, name, left)}
        found = {number: data.results.expectations.find(number) for number in trials}
        parts += what_differs(
            [trials[number] for number in left if number in trials],
            {number: one for number, one in found.items() if one is not None},
        )
    parts += cards(data, view, scheme)
    is_complete = data.columns.is_in(TrialState.COMPLETE)[data.columns.rows_of(left)]
    if len(left) == 1 and is_complete[0]:
        parts.append(export(database, name, left[0], "study-export"))
    return parts


def picked(data: StudyData, view: StudyView) -> list[Component]:
    """Return a line on what is selected, for where the inspector is out of view; empty of none."""
    columns = data.columns
    there = columns.number[columns.rows_of(view.selected)].tolist()
    if not there:
        return []
    if len(there) > 1:
        said = f"{len(there)} trials"
    else:
        said = ", ".join([f"Trial {there[0]}", *_standing(data, view, there[0])])
    return [
        html.Span("Selected:", className="faint"),
        html.A(said, href=f"#{INSPECTOR}", **attributes(data_first="button")),
    ]


def _standing(data: StudyData, view: StudyView, number: int) -> list[str]:
    """Return a trial's accuracy, and whether it is on the front or why it cannot be."""
    columns, filtered = data.columns, data.filtered(view)
    (row,) = columns.rows_of([number])
    if row not in filtered.rows:
        return ["left out by the filters"]
    accuracy = columns.accuracy[row]
    known = [f"{100 * accuracy:.2f} %"] if accuracy == accuracy else []
    state = STATES[columns.state[row]]
    if state is not TrialState.COMPLETE:
        return [*known, STATE_WORDS[state]]
    return [*known, "on the front" if row in filtered.front else "not on the front"]


def _head(data: StudyData, filtered: Filtered, left: list[int]) -> html.Div:
    steps: list[Component] = []
    said = f"{len(left)} trials"
    if len(left) == MOST_SELECTED:
        said += ", the most at once: another one takes the place of the first"
    if len(left) == 1:
        steps, said = _along_front(data.columns, filtered.shown_front, left[0])
    return html.Div(
        [
            html.Span(said, className="faint"),
            html.Div([*steps, _go("Clear selection", "")], className="buttons"),
        ],
        className="head",
    )


def _along_front(columns: TrialColumns, front: Rows, number: int) -> tuple[list[Component], str]:
    """Return the buttons to the trials before and after on a front, and the trial's rank."""
    numbers = columns.number[front].tolist()
    if number in numbers:
        place = numbers.index(number)
        said = f"number {place + 1} of {len(numbers)} on the front, smallest first"
        before, after = numbers[:place][-1:], numbers[place + 1 :][:1]
    else:
        (row,) = columns.rows_of([number])
        place = int(np.searchsorted(columns.memory_ratio[front], columns.memory_ratio[row]))
        said = "not on the front"
        before, after = numbers[:place][-1:], numbers[place:][:1]
    return [
        *(_go("Previous", str(other), f"trial {other}, smaller, on the front") for other in before),
        *(_go("Next", str(other), f"trial {other}, larger, on the front") for other in after),
    ], said


def _go(word: str, selection: str, what: str = "") -> html.Button:
    return html.Button(
        word,
        type="button",
        title=what or None,
        **attributes(
            aria_label=f"{word}: {what}" if what else None,
            data_set=SELECTED,
            data_default="",
            data_value=selection,
        ),
    )
