"""What every chart has around its points: title, legend, the teacher's line."""

from html import escape
from typing import Any

import plotly.graph_objects as go

# Okabe and Ito's palette, for readers of every colour vision; shapes differ as well.
BLUE = "#0072B2"
GREY = "#8C8C8C"
_TEACHER = "#333333"


def lay_out(figure: go.Figure, title: str, subtitle: str = "") -> None:
    """Set the titles of a chart, shown as they are written, and its legend and margins."""
    figure.update_layout(
        template="plotly_white",
        # Plotly reads tags and entities.
        title={
            "text": escape(title, quote=False),
            "subtitle": {"text": escape(subtitle, quote=False)},
            "x": 0.01,
            "xanchor": "left",
            "font": {"size": 20},
        },
        font={"family": "system-ui, sans-serif", "size": 14, "color": "#222222"},
        legend={
            "orientation": "h",
            "traceorder": "reversed",
            "x": 1,
            "xanchor": "right",
            "y": 1.01,
            "yanchor": "bottom",
        },
        margin={"l": 80, "r": 120, "t": 90, "b": 80},
        hoverlabel={"align": "left", "bgcolor": "white"},
        hovermode="closest",
    )


def draw_teacher(figure: go.Figure, percent: float) -> None:
    """Draw the teacher's accuracy as a line across the chart."""
    figure.add_hline(y=percent, line={"dash": "dash", "width": 1.5, "color": _TEACHER})
    # Its label is in the margin, where no trial can come.
    figure.add_annotation(
        text=f"teacher<br>{percent:.2f} %",
        xref="x domain",
        x=1,
        xanchor="left",
        xshift=8,
        y=percent,
        yanchor="middle",
        align="left",
        showarrow=False,
        font={"color": _TEACHER},
    )


def blend(low: str, high: str, share: float) -> str:
    """Mix two colours, #RRGGBB, from the first at 0 to the second at 1."""
    channels = ((int(low[i : i + 2], 16), int(high[i : i + 2], 16)) for i in (1, 3, 5))
    return "#" + "".join(f"{round(a + (b - a) * share):02X}" for a, b in channels)


def emptiness(why: str, *, colour: str = GREY, size: int = 18) -> dict[str, Any]:
    """Return an annotation that says in the middle of a chart why there is nothing in it.

    ``why`` is markup; ``size`` in pixels.
    """
    return {
        "text": why,
        "xref": "paper",
        "yref": "paper",
        "x": 0.5,
        "y": 0.5,
        "showarrow": False,
        "font": {"size": size, "color": colour},
    }


def say_empty(figure: go.Figure, why: str, *, colour: str = GREY, size: int = 18) -> None:
    """Add `emptiness` to a figure."""
    figure.add_annotation(emptiness(why, colour=colour, size=size))
