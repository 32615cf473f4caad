"""How the hypervolume of a study grew, trial by trial."""

import numpy as np
import plotly.graph_objects as go

from dashboard.page import Scheme
from dashboard.theme import dress, palette
from mlgsearch.results.trial_columns import Floats, Rows, TrialColumns


def hypervolume_chart(
    columns: TrialColumns, course: tuple[Rows, Floats], scheme: Scheme, *, seen: int | None = None
) -> go.Figure:
    """Draw the hypervolume over the trials that finished with a result, as steps.

    A hover tells which trial brought a step.

    Args:
        columns: the study's trials.
        course: rows in the order they finished, and the hypervolume once each had.
        scheme: of colours.
        seen: how many of those trials had finished at the moment of a replay, which is marked.
    """
    colours = palette(scheme)
    rows, volumes = course
    grown = np.flatnonzero(np.diff(volumes, prepend=0.0) > 0)
    numbers = columns.number[rows[grown]].tolist()
    # The last step goes on to the last trial.
    xs = [*(grown + 1).tolist(), len(rows)] if len(grown) else []
    ys = [float(f"{volumes[row]:.6g}") for row in [*grown, *grown[-1:]]]
    figure = go.Figure(
        go.Scatter(
            x=xs,
            y=ys,
            customdata=[[number] for number in [*numbers, *numbers[-1:]]],
            hovertemplate=(
                "<b>%{y:.4f}</b> after %{x} trials<br>since trial %{customdata[0]}<extra></extra>"
            ),
            mode="lines",
            line={"shape": "hv", "width": 2, "color": colours.front},
            showlegend=False,
        )
    )
    if seen is not None:
        figure.add_vline(x=seen, line={"dash": "dot", "width": 1.5, "color": colours.ink})
    figure.update_layout(
        uirevision="hypervolume",
        xaxis={"title": {"text": "trials with a result"}, "rangemode": "tozero"},
        yaxis={"title": {"text": "hypervolume"}, "rangemode": "normal"},
        margin={"t": 16},
    )
    return dress(figure, scheme)
