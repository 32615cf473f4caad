"""What the page of a study is steered by: axis, filters, replay."""

from collections.abc import Mapping, Sequence

from dash import dcc, html

from dashboard.charts.size_axis import DEFAULT_AXIS, SIZE_AXES
from dashboard.pages.study.data import StudyData
from dashboard.pages.study.view import (
    ACCURACY,
    AXIS,
    FRONT,
    HIDE,
    ONLY,
    PLANNED,
    RATIO,
    StudyView,
    last_moment,
)
from dashboard.parts.menu import menu
from dashboard.parts.page import view_id
from dashboard.parts.states import STATE_WORDS
from dashboard.query import Query

_STATES: Mapping[str, str] = {state.value: word for state, word in STATE_WORDS.items()}

_DRAWN = "front"
_PLAN = {_DRAWN: "the planned front"}

#: Between two steps of a replay that plays: enough for the picture to arrive.
_STEP_MS = 250


def controls(query: Query, *, is_planned: bool) -> html.Div:
    """Place axis and filters, each as the address wants it.

    Where something ``is_planned`` there is a box for it: the plan's damage has an axis of its own
    that runs the other way, so it is drawn for who asks.
    """
    view = StudyView.of(query)
    is_ranged = any(query.one(name) for name in (*ACCURACY, *RATIO))
    return html.Div(
        [
            menu(
                "Size",
                AXIS,
                {name: axis.shown.label for name, axis in SIZE_AXES.items()},
                view.axis.shown.name,
                default=DEFAULT_AXIS,
            ),
            _boxes("Show", ONLY, {FRONT: "the front only"}, [FRONT] * view.is_front_only),
            *([_boxes("Draw", PLANNED, _PLAN, [_DRAWN] * view.is_plan_drawn)] * is_planned),
            _boxes("Hide", HIDE, _STATES, [name for name in _STATES if name in view.hidden]),
            html.Details(
                [
                    html.Summary("Range"),
                    html.Div(
                        [
                            _range("Accuracy in %", ACCURACY, query),
                            _range("Memory ratio", RATIO, query),
                        ],
                        className="fields",
                    ),
                ],
                open=is_ranged,
            ),
        ],
        className="card controls",
    )


def replay(data: StudyData, view: StudyView, moment: str) -> html.Div:
    """Place the slider that goes back in the study's time; ``moment`` says how far."""
    last = last_moment(data.columns)
    return html.Div(
        [
            html.Button("Play", id="study-play", type="button"),
            html.Label(
                [
                    "Replay",
                    dcc.Input(
                        id="study-replay",
                        type="range",
                        min=0,
                        max=last,
                        step=1,
                        value=last if view.until is None else min(view.until, last),
                    ),
                ]
            ),
            html.Output(moment, id="study-moment"),
            dcc.Interval(id="study-player", interval=_STEP_MS, disabled=True),
        ],
        className="replay",
    )


def _boxes(
    legend: str, parameter: str, options: Mapping[str, str], value: Sequence[str]
) -> html.Fieldset:
    boxes = dcc.Checklist(
        id=view_id(parameter), options=dict(options), value=list(value), inline=True
    )
    return html.Fieldset([html.Legend(legend), boxes])


def _range(legend: str, names: tuple[str, str], query: Query) -> html.Fieldset:
    return html.Fieldset(
        [
            html.Legend(legend),
            *(
                html.Label(
                    [
                        word,
                        dcc.Input(
                            id=view_id(name),
                            type="number",
                            min=0,
                            step="any",
                            value=query.one(name) or None,
                            debounce=True,
                        ),
                    ]
                )
                for word, name in zip(("from", "to"), names, strict=True)
            ),
        ],
        className="range",
    )
