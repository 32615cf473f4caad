"""The teacher's accuracy in a chart of accuracies."""

from typing import Literal

import plotly.graph_objects as go

from dashboard.theme import Palette


def draw_teacher(
    figure: go.Figure, accuracy: float | None, colours: Palette, side: Literal["left", "right"]
) -> None:
    """Draw the teacher's accuracy, a fraction, as a line over the axes ``x`` and ``y`` in percent.

    Its words stand at the side where no mark comes near it. Without an accuracy nothing is drawn.
    """
    if accuracy is None:
        return
    percent = 100 * accuracy
    # Not add_hline, which looks through all traces and takes a tenth of a large chart's time.
    figure.add_shape(
        type="line",
        xref="x domain",
        x0=0,
        x1=1,
        y0=percent,
        y1=percent,
        line={"dash": "dash", "width": 1.5, "color": colours.ink},
    )
    figure.add_annotation(
        text=f"teacher {percent:.2f} %",
        xref="x domain",
        x=0 if side == "left" else 1,
        xanchor=side,
        xshift=6 if side == "left" else -6,
        y=percent,
        yanchor="bottom",
        showarrow=False,
        font={"color": colours.ink},
    )
