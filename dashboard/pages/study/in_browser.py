"""What the page of a study does in the browser alone: see ``assets/study.js``."""

from collections.abc import Callable

from dash import ClientsideFunction, Dash, Input, Output, State

from dashboard.charts.axes.size_axis import DEFAULT_AXIS
from dashboard.pages.study.limit import DEFAULT_KIND, KIND, LIMIT_AXES, MOST
from dashboard.pages.study.view import AXIS, SELECTED, UNTIL, ZOOM
from dashboard.parts.page import view_id


def register_in_browser(app: Dash) -> None:
    """Connect the chart, the replay and the selection with their functions."""
    client: dict[str, tuple[list[Output], list[Input | State]]] = {
        "pick": (
            [Output(view_id(SELECTED), "data"), Output("study-chart", "clickData")],
            [Input("study-chart", "clickData"), State(view_id(SELECTED), "data")],
        ),
        "pickMany": (
            [Output(view_id(SELECTED), "data", allow_duplicate=True)],
            [Input("study-chart", "selectedData"), State(view_id(SELECTED), "data")],
        ),
        "limit": (
            [Output(view_id(MOST), "value", allow_duplicate=True)],
            [Input("study-chart", "relayoutData")],
        ),
        "across": (
            [Output(view_id(AXIS, DEFAULT_AXIS), "data", allow_duplicate=True)],
            [
                Input(view_id(MOST), "value"),
                Input(view_id(KIND, DEFAULT_KIND), "data"),
                State(view_id(AXIS, DEFAULT_AXIS), "data"),
                State(LIMIT_AXES, "data"),
            ],
        ),
        "zoom": (
            [Output(view_id(ZOOM), "data")],
            [Input("study-chart", "relayoutData")],
        ),
        "replay": (
            [Output(view_id(UNTIL), "data")],
            [
                Input("study-replay", "value"),
                State("study-replay", "max"),
                State(view_id(UNTIL), "data"),
            ],
        ),
        "play": (
            [
                Output("study-player", "disabled"),
                Output("study-play", "children"),
                Output("study-replay", "value", allow_duplicate=True),
            ],
            [
                Input("study-play", "n_clicks"),
                State("study-player", "disabled"),
                State("study-replay", "value"),
                State("study-replay", "max"),
            ],
        ),
        "step": (
            [
                Output("study-replay", "value", allow_duplicate=True),
                Output("study-player", "disabled", allow_duplicate=True),
                Output("study-play", "children", allow_duplicate=True),
            ],
            [
                Input("study-player", "n_intervals"),
                State("study-replay", "value"),
                State("study-replay", "max"),
            ],
        ),
    }
    in_browser: Callable[..., None] = app.clientside_callback
    for function, (outputs, arguments) in client.items():
        in_browser(
            ClientsideFunction("study", function), outputs, arguments, prevent_initial_call=True
        )
