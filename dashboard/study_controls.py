"""What the page of a study is steered by: axis, filters, replay."""

from dash import dcc, html

from dashboard.charts.size_axis import DEFAULT_AXIS, SIZE_AXES
from dashboard.menu import menu
from dashboard.page import view_id
from dashboard.query import Query
from dashboard.study_data import StudyData
from dashboard.study_view import ACCURACY, AXIS, FRONT, HIDE, ONLY, RATIO, StudyView, last_moment
from mlgsearch.records import TrialState

_HIDEABLE = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "stopped early",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
}

#: Between two steps of a replay that plays: enough for the picture to arrive.
_STEP_MS = 250


def controls(data: StudyData, query: Query, moment: str) -> html.Div:
    """Place the controls, each as the address wants it; ``moment`` is that of the replay."""
    view = StudyView.of(query)
    last = last_moment(data.columns)
    return html.Div(
        [
            html.Div(
                [
                    menu(
                        "Size",
                        AXIS,
                        {name: axis.shown.label for name, axis in SIZE_AXES.items()},
                        view.axis.shown.name,
                        default=DEFAULT_AXIS,
                    ),
                    html.Fieldset(
                        [
                            html.Legend("Show"),
                            dcc.Checklist(
                                id=view_id(ONLY),
                                options={FRONT: "the front only"},
                                value=[FRONT] if view.is_front_only else [],
                            ),
                        ]
                    ),
                    html.Fieldset(
                        [
                            html.Legend("Hide"),
                            dcc.Checklist(
                                id=view_id(HIDE),
                                options={state.value: word for state, word in _HIDEABLE.items()},
                                value=[state.value for state in _HIDEABLE if state in view.hidden],
                                inline=True,
                            ),
                        ]
                    ),
                    _range("Accuracy in %", ACCURACY, 0.01, query),
                    _range("Memory ratio", RATIO, 0.0001, query),
                ],
                className="controls",
            ),
            html.Div(
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
            ),
        ]
    )


def _range(legend: str, names: tuple[str, str], step: float, query: Query) -> html.Fieldset:
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
                            step=step,
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
