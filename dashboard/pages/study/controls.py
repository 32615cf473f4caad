"""What the page of a study is steered by: chart, axes, colour, filters, replay."""

from collections.abc import Mapping

from dash import dcc, html

from dashboard.charts.axes.size_axis import DEFAULT_AXIS, sizes_offered
from dashboard.pages.study.data import StudyData
from dashboard.pages.study.picture import axes_offered, colours_offered
from dashboard.pages.study.view import (
    ACCURACY,
    AXIS,
    CHART,
    COLOUR,
    FRONT,
    HIDE,
    ONLY,
    PARALLEL,
    PERCENT,
    PLANNED,
    RATIO,
    SCALE,
    StudyView,
    last_moment,
)
from dashboard.parts.menu import menu
from dashboard.parts.number_field import number_field
from dashboard.parts.toggles import toggles
from dashboard.parts.values.states import STATE_WORDS
from dashboard.query import Query

_STATES: Mapping[str, str] = {state.value: word for state, word in STATE_WORDS.items()}

#: What trials are drawn as.
_FRONT = "front"
_CHARTS = {_FRONT: "accuracy against size", PARALLEL: "parallel coordinates"}

#: The scale of accuracies.
_BELOW = "below"
_SCALES = {_BELOW: "points below the teacher", PERCENT: "percent"}

_DRAWN = "front"
_PLAN = {_DRAWN: "the planned front"}

#: Between two steps of a replay that plays: enough for the picture to arrive.
_STEP_MS = 250


def controls(query: Query, data: StudyData) -> html.Div:
    """Place chart, axes, colour and filters, each as the address wants it.

    Where something is planned there is a box for it: the plan's damage takes a strip of the chart,
    so it is drawn for who asks.
    """
    view = StudyView.of(query)
    across = sizes_offered(data.record.objectives) | axes_offered(data)
    colours = {"": "state"} | colours_offered(data)
    menus = [
        menu("Chart", CHART, _CHARTS, query.choice(CHART, _CHARTS, _FRONT), default=_FRONT),
        menu(
            "Across", AXIS, across, query.choice(AXIS, across, DEFAULT_AXIS), default=DEFAULT_AXIS
        ),
        menu("Colour by", COLOUR, colours, query.choice(COLOUR, colours, ""), default=""),
    ]
    if data.record.teacher_accuracy is not None:
        upwards = query.choice(SCALE, _SCALES, _BELOW)
        menus.insert(2, menu("Accuracy", SCALE, _SCALES, upwards, default=_BELOW))
    return html.Div([*menus, _filters(view, query, data)], className="card controls")


def _filters(view: StudyView, query: Query, data: StudyData) -> html.Details:
    is_planned = bool(data.record.planned)
    return html.Details(
        [
            html.Summary("Filters"),
            html.Div(
                [
                    toggles("Show", ONLY, {FRONT: "the front only"}, [FRONT] * view.is_front_only),
                    toggles(
                        "Hide", HIDE, _STATES, [name for name in _STATES if name in view.hidden]
                    ),
                    *(
                        [toggles("Draw", PLANNED, _PLAN, [_DRAWN] * view.is_plan_drawn)]
                        * is_planned
                    ),
                    _range("Accuracy in %", ACCURACY, query),
                    _range("Memory ratio", RATIO, query),
                ],
                className="fields",
            ),
        ]
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
        className="card replay",
    )


def _range(legend: str, names: tuple[str, str], query: Query) -> html.Fieldset:
    return html.Fieldset(
        [
            html.Legend(legend),
            *(
                number_field(word, name, query, debounce=True)
                for word, name in zip(("from", "to"), names, strict=True)
            ),
        ],
        className="range",
    )
