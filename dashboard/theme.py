"""Colours of the page and its figures, for light and for dark surroundings."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from html import escape
from typing import Any, Literal

import plotly.graph_objects as go

#: A figure as plotly's JSON: ``data``, a list of traces, and ``layout``.
Figure = dict[str, Any]
#: One of its traces; `plotly.graph_objects.Figure` takes it as well.
Trace = dict[str, Any]


_DASHES = ("solid", "dash", "dot", "dashdot")


@dataclass(frozen=True)
class Palette:
    """Colours of one scheme.

    The hues are Okabe and Ito's, as light or dark as it takes for readers of every colour vision to
    distinguish them; each has at least 3 to 1 against the paper. What colour
    says is said by shape or word as well.
    """

    paper: str
    ink: str
    faint: str
    grid: str
    front: str
    complete: str
    pruned: str
    fail: str
    planned: str
    verified: str
    reference: str
    #: For ordered groups, few to much.
    ramp: tuple[str, ...]

    @property
    def series(self) -> tuple[str, ...]:
        """Colours for studies or curves beside each other, in order."""
        return (self.front, self.pruned, self.planned, self.verified, self.reference, self.complete)

    def colour(self, place: int) -> str:
        """Return the colour of a place in a series of any length."""
        return self.series[place % len(self.series)]

    def dash(self, place: int) -> str:
        """Return how its line is dashed, which tells places of one colour apart."""
        return _DASHES[place // len(self.series) % len(_DASHES)]


PALETTES: Mapping[str, Palette] = {
    "light": Palette(
        paper="#FFFFFF",
        ink="#1D2329",
        faint="#59636E",
        grid="#E4E8EC",
        front="#0072B2",
        complete="#8A9199",
        pruned="#D55E00",
        fail="#1D2329",
        planned="#006B4F",
        verified="#A23C7C",
        reference="#7A5400",
        ramp=("#B97500", "#C2533A", "#A0336B", "#6B2A86", "#1F2A7A"),
    ),
    "dark": Palette(
        paper="#171B20",
        ink="#E7EBEF",
        faint="#9DA7B1",
        grid="#2C333B",
        front="#56B4E9",
        complete="#757E88",
        pruned="#EC7430",
        fail="#E7EBEF",
        planned="#1FA37D",
        verified="#E9A3CC",
        reference="#F0C84A",
        ramp=("#6F82E8", "#A07BDA", "#DB7FB0", "#F39C6B", "#FFD166"),
    ),
}


def palette(scheme: Literal["light", "dark"]) -> Palette:
    """Return the colours of a scheme."""
    return PALETTES[scheme]


def ink_on(colour: str) -> str:
    """Return black or white for words on a colour, #RRGGBB: their contrast is 4.5 to 1 or more.

    Luminance is WCAG 2.2's.
    """
    channels = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    red, green, blue = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in channels
    )
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    # Where both stand out alike: (1 + 0.05) / (L + 0.05) = (L + 0.05) / 0.05.
    return "#000000" if luminance > 0.179 else "#FFFFFF"


def text(value: str) -> str:
    """Write a text for a figure, which reads tags and entities."""
    return escape(value, quote=False)


def dress(figure: go.Figure, scheme: Literal["light", "dark"]) -> go.Figure:
    """Set a figure's colours and type to the page's; what the figure itself says comes first."""
    figure.update_layout(template=_looked_through(scheme))
    return figure


@cache
def _looked_through(scheme: Literal["light", "dark"]) -> go.layout.Template:
    """Have plotly look a template through once: that takes longer than to use it."""
    return go.layout.Template(template(scheme))


@cache
def template(scheme: Literal["light", "dark"]) -> dict[str, Any]:
    """Return the colours and type of a scheme as plotly's template; it is never changed."""
    colours = palette(scheme)
    axis = {
        "gridcolor": colours.grid,
        "linecolor": colours.faint,
        "tickcolor": colours.faint,
        "showline": True,
        "ticks": "outside",
        "zeroline": False,
        "automargin": True,
        "title": {"standoff": 12},
    }
    return {
        "layout": {
            "paper_bgcolor": colours.paper,
            "plot_bgcolor": colours.paper,
            "font": {"family": "system-ui, sans-serif", "size": 13, "color": colours.ink},
            "colorway": list(colours.series),
            "xaxis": axis,
            "yaxis": axis,
            "legend": {
                "orientation": "h",
                "x": 0,
                "xanchor": "left",
                "y": 1.02,
                "yanchor": "bottom",
            },
            "margin": {"l": 64, "r": 24, "t": 48, "b": 56},
            "hovermode": "closest",
            "hoverlabel": {
                "align": "left",
                "bgcolor": colours.paper,
                "bordercolor": colours.faint,
                "font": {"color": colours.ink},
            },
            "modebar": {
                "bgcolor": "rgba(0,0,0,0)",
                "color": colours.faint,
                "activecolor": colours.front,
            },
        }
    }
