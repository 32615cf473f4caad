"""Trials as lines across lanes: what goes with what, from the budget to the accuracy."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dashboard.charts.colouring import NO_GROUP, Colouring
from dashboard.charts.parallel.lanes import Lane
from dashboard.parts.page import Scheme
from dashboard.theme import Figure, Palette, Trace, palette, template, text
from mlgsearch.records import TrialState
from mlgsearch.results.analysis.trial_columns import Rows, TrialColumns
from mlgsearch.results.charts.layout import emptiness

#: The chart draws at most this many lines: more cannot be distinguished, and each costs its bytes.
MOST_LINES = 200

#: Of fewer there are no lines.
LEAST_LANES = 2

#: In pixels, what a lane needs for its ticks and its title; ten lanes fit beside the inspector.
LANE_WIDTH = 66
_MARGIN = {"l": 64, "r": 40, "t": 48, "b": 64}

#: The front's lines are thick, also where colours are those of groups.
_THIN, _THICK = 1, 2.25

#: How much is seen of other lines where some are selected.
_FAINT = 0.5


@dataclass(frozen=True)
class ParallelPicture:
    """What is drawn of a study.

    ``rows`` are those of ``columns`` that have a line, as `lines_of` chooses them; ``front`` the
    rows of the front, drawn where they are in ``rows``. ``selected`` are numbers of trials in
    order. With a ``colouring``, COMPLETE trials have the colour of their group.
    """

    columns: TrialColumns
    lanes: Sequence[Lane]
    rows: Rows
    front: Rows
    selected: Sequence[int] = ()
    colouring: Colouring | None = None


def lines_of(columns: TrialColumns, shown: Rows, front: Rows, selected: Sequence[int]) -> Rows:
    """Return which of the rows shown have a line: at most ``MOST_LINES`` with an accuracy.

    The selected ones come first, then the front, COMPLETE trials and others, the most accurate of
    each before all.
    """
    known = shown[np.isfinite(columns.accuracy[shown])]
    rank = np.full(len(known), 3)
    rank[columns.is_in(TrialState.COMPLETE)[known]] = 2
    rank[np.isin(known, front)] = 1
    rank[np.isin(known, columns.rows_of(selected))] = 0
    order: Rows = known[np.lexsort((-columns.accuracy[known], rank))][:MOST_LINES]
    return order


def parallel_chart(picture: ParallelPicture, scheme: Scheme) -> Figure:
    """Draw a line per trial across the lanes, the front's thick, and the selected ones on top.

    A line's points carry its trial's number as ``customdata``, a list of one; between two lines of
    a trace is a point without any.
    """
    colours = palette(scheme)
    count = len(picture.lanes)
    if count < LEAST_LANES:
        return _empty(scheme, colours)
    return {
        "data": [*_lines(picture, colours), _ticks(picture.lanes, colours)],
        "layout": {
            "template": template(scheme),
            "xaxis": {
                "range": [-0.1, count - 0.9],
                "tickvals": list(range(count)),
                "ticktext": [lane.heading for lane in picture.lanes],
                "tickangle": 0,
                "tickfont": {"size": 11},
                "ticklabeloverflow": "allow",  # the last one's goes into the margin
                "gridcolor": colours.faint,
                "showline": False,
                "ticks": "",
                "fixedrange": True,
            },
            "yaxis": {"range": [-0.03, 1.03], "visible": False, "fixedrange": True},
            "dragmode": False,
            "margin": _MARGIN,
            "uirevision": "parallel",
        },
    }


def _empty(scheme: Scheme, colours: Palette) -> Figure:
    why = "no two trials with an accuracy differ yet"
    return {
        "data": [],
        "layout": {
            "template": template(scheme),
            "xaxis": {"visible": False},
            "yaxis": {"visible": False},
            "annotations": [emptiness(why, colour=colours.faint, size=15)],
        },
    }


def _lines(picture: ParallelPicture, colours: Palette) -> list[Trace]:
    columns = picture.columns
    rows = picture.rows[::-1]  # the best are drawn last
    is_front = np.isin(rows, picture.front)
    is_complete = columns.is_in(TrialState.COMPLETE)[rows] & ~is_front
    others = rows[~is_complete & ~is_front]
    selected = _selected(picture, colours)
    kinds = [
        ("not complete", colours.pruned, others, _THIN),
        *_grouped(picture, "complete", colours.complete, rows[is_complete], _THIN, colours),
        *_grouped(picture, "front", colours.front, rows[is_front], _THICK, colours),
    ]
    counts = Counter[str]()
    for name, _, own, _ in kinds:
        counts[name] += len(own)
    named = set[str]()
    lines = []
    opacity = _FAINT if selected else 1
    for name, colour, own, width in kinds:
        if len(own):
            line = {"width": width, "color": colour}
            trace = _trace(picture, own, f"{name} ({counts[name]:,})", line)
            in_legend = {"legendgroup": name, "showlegend": name not in named}
            lines.append(trace | in_legend | {"opacity": opacity})
            named.add(name)
    return [*lines, *selected]


def _grouped(
    picture: ParallelPicture, kind: str, plain: str, rows: Rows, width: float, colours: Palette
) -> list[tuple[str, str, Rows, float]]:
    """Return name, colour, rows and width of one kind's lines, by group where trials have any."""
    colouring = picture.colouring
    if colouring is None:
        return [(kind, plain, rows, width)]
    groups = colouring.groups[rows]
    looks = zip(colouring.labels, colouring.colours(colours), strict=True)
    return [
        *(
            (f"{text(colouring.title)} {text(label)}", colour, rows[groups == place], width)
            for place, (label, colour) in enumerate(looks)
        ),
        ("others", colours.complete, rows[groups == NO_GROUP], width),
    ]


def _selected(picture: ParallelPicture, colours: Palette) -> list[Trace]:
    lines = []
    for place, number in enumerate(picture.selected):
        rows = picture.columns.rows_of([number])
        rows = rows[np.isin(rows, picture.rows)]
        if len(rows):
            look = {"width": 4, "color": colours.colour(place)}
            lines.append(_trace(picture, rows, f"trial {number}", look))
    return lines


def _trace(picture: ParallelPicture, rows: Rows, name: str, line: dict[str, Any]) -> Trace:
    """Draw some trials' lines as one, with a gap after each."""
    numbers = picture.columns.number[rows].tolist()
    lanes = picture.lanes
    places = np.array([lane.places[rows] for lane in lanes]).T.round(3).tolist()  # (k, lanes)
    gap = [None]
    return {
        "type": "scatter",
        "x": [*range(len(lanes)), None] * len(rows),
        "y": [y if y == y else None for own in places for y in (*own, np.nan)],
        "customdata": [part for number in numbers for part in ([[number]] * len(lanes) + gap)],
        "text": [
            part
            for row in rows.tolist()
            for part in (*(text(f"{lane.title}: {lane.write(row)}") for lane in lanes), "")
        ],
        "hovertemplate": "<b>trial %{customdata[0]}</b><br>%{text}<extra></extra>",
        "mode": "lines",
        "line": line,
        "name": name,
    }


def _ticks(lanes: Sequence[Lane], colours: Palette) -> Trace:
    """Write the ticks beside their lanes, over the lines."""
    ticks = [
        (at, height, words) for at, lane in enumerate(lanes) for height, words in lane.ticks.items()
    ]
    return {
        "type": "scatter",
        "x": [at for at, _, _ in ticks],
        "y": [round(height, 3) for _, height, _ in ticks],
        "text": [f"{text(words)} " for _, _, words in ticks],
        "textposition": "middle left",
        "textfont": {"size": 11, "color": colours.ink, "shadow": _halo(colours.paper)},
        "mode": "markers+text",
        "marker": {"symbol": "line-ew-open", "size": 7, "color": colours.ink},
        "cliponaxis": False,
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _halo(colour: str) -> str:
    """Return a text's outline, so that it is read on top of lines."""
    return ", ".join(f"{x}px {y}px 1px {colour}" for x in (-1, 0, 1) for y in (-1, 0, 1) if x or y)
