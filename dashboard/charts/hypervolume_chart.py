"""How the hypervolume of a study grew, trial by trial."""

import numpy as np

from dashboard.parts.page import Scheme
from dashboard.theme import Figure, palette, template
from mlgsearch.results.analysis.trial_columns import Course, Floats, Rows, TrialColumns

#: The axis goes on behind the last trial, and so does the line.
_ROOM = 1.03


def hypervolume_chart(
    columns: TrialColumns, course: Course, scheme: Scheme, *, seen: int | None = None
) -> Figure:
    """Draw the hypervolume over the trials that finished with a result, as steps.

    A hover shows which trial brought a step.

    Args:
        columns: the study's trials.
        course: rows in the order they finished, and the hypervolume once each had.
        scheme: of colours.
        seen: how many of those trials had finished at the moment of a replay, which is marked.
    """
    colours = palette(scheme)
    rows, volumes = course
    grown = rises(volumes)
    numbers = columns.number[rows[grown]].tolist()
    # The last step goes on to the end.
    xs = [*(grown + 1).tolist(), _ROOM * len(rows)] if len(grown) else []
    ys = [float(f"{volumes[row]:.6g}") for row in [*grown, *grown[-1:]]]
    since = [*numbers, *numbers[-1:]]
    after = [*(grown + 1).tolist(), len(rows)] if len(grown) else []
    line = {
        "type": "scatter",
        "x": xs,
        "y": ys,
        "customdata": [list(pair) for pair in zip(since, after, strict=True)],
        "hovertemplate": (
            "<b>%{y:.4f}</b> after %{customdata[1]} trials<br>"
            "since trial %{customdata[0]}<extra></extra>"
        ),
        "mode": "lines",
        "line": {"shape": "hv", "width": 2, "color": colours.front},
        "showlegend": False,
    }
    moment = {
        "type": "line",
        "x0": seen,
        "x1": seen,
        "yref": "y domain",
        "y0": 0,
        "y1": 1,
        "line": {"dash": "dot", "width": 1.5, "color": colours.ink},
    }
    return {
        "data": [line],
        "layout": {
            "template": template(scheme),
            "uirevision": "hypervolume",
            "xaxis": {
                "title": {"text": "trials with a result"},
                # A step at the very last trial would lie on the frame.
                "range": [0, _ROOM * max(1, len(rows))],
            },
            "yaxis": {"title": {"text": "hypervolume"}, "rangemode": "normal"},
            "margin": {"t": 16},
            "shapes": [] if seen is None else [moment],
        },
    }


def rises(volumes: Floats) -> Rows:
    """Return where the hypervolume, shape (n,), is more than before: places, shape (k,)."""
    return np.flatnonzero(np.diff(volumes, prepend=0.0) > 0)
