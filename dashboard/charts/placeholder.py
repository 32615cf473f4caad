"""What stands in a chart that has nothing to show."""

import plotly.graph_objects as go

from dashboard.theme import Palette


def say(figure: go.Figure, words: str, colours: Palette) -> None:
    """Write words, which plotly reads as markup, in the middle of a figure."""
    figure.add_annotation(
        text=words,
        xref="paper",
        yref="paper",
        x=0.5,
        y=0.5,
        showarrow=False,
        font={"size": 15, "color": colours.faint},
    )
