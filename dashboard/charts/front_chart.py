"""The picture of a study: accuracy against size, every trial, the front, what to compare with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dashboard.charts.axes.accuracy_scale import IN_PERCENT, AccuracyScale
from dashboard.charts.axes.size_axis import SizeAxis
from dashboard.charts.axes.zoom import Zoom, front_scales, revision
from dashboard.charts.colouring import Colouring
from dashboard.charts.compared import reference_marks, verified_marks
from dashboard.charts.group_marks import NAME_ALONE, GroupMarks
from dashboard.charts.lines.limit_line import LimitLine, drawn
from dashboard.charts.lines.planned_line import PlannedLine
from dashboard.charts.lines.teacher_line import teacher_line
from dashboard.charts.trial_marks import TrialMarks, short
from dashboard.parts.page import Scheme
from dashboard.theme import Figure, Palette, Trace, palette, template
from mlgsearch.records import OBJECTIVES, PlannedStudent, ReferencePoint, TrialState
from mlgsearch.results.analysis.trial_columns import Rows, TrialColumns
from mlgsearch.results.analysis.uncertainty.expectation import Expectations
from mlgsearch.results.analysis.uncertainty.verification import VerifiedPoint
from mlgsearch.results.charts.layout import blend

#: In pixels, what plotly widens its margins to for the words of this chart on a wide page.
_MARGIN = {"l": 84, "r": 24, "t": 48, "b": 77}
#: A limit so many times smaller or larger than all trials is out of sight, or they would be.
_FAR = 4

#: From this share of the chart's width on, a limit's words are to the left of its line: on the
#: narrowest page they need so much.
_FAR_RIGHT = 0.5

#: Marks so near the teacher's line, as a share of the chart's height, have their rings on it; over
#: these its words need so much room. On the narrowest page words reach so far to the right.
_NEAR, _ROOM, _WORDS = 0.02, 0.12, 0.55


@dataclass(frozen=True)
class FrontPicture:
    """What is drawn of a study.

    ``shown`` are the rows of ``columns`` that filters and replay leave; ``front`` the rows of the
    front, and ``steps`` those that bound what was reached on this axis, both drawn where shown.
    ``ranged`` are the rows that the axes have room for, the same all along a replay. ``selected``
    are numbers of trials in order. ``limit`` is what a student is chosen by, ``chosen`` its row.
    ``teacher_accuracy`` is a fraction, on the validation part. A trial's hover says what
    ``expectations`` has of it. ``scale`` says how high accuracies are drawn; with a ``colouring``,
    whose groups are by row of ``columns``, COMPLETE trials have the colour of their group.
    """

    columns: TrialColumns
    axis: SizeAxis
    shown: Rows
    front: Rows
    steps: Rows
    ranged: Rows
    selected: Sequence[int] = ()
    teacher_accuracy: float | None = None
    planned: Sequence[PlannedStudent] = ()
    references: Sequence[ReferencePoint] = ()
    verified: Sequence[VerifiedPoint] = ()
    expectations: Expectations | None = None
    limit: LimitLine | None = None
    chosen: int | None = None
    scale: AccuracyScale = IN_PERCENT
    verified_scale: AccuracyScale = IN_PERCENT
    colouring: Colouring | None = None


def front_chart(picture: FrontPicture, scheme: Scheme, zoom: Zoom | None = None) -> Figure:
    """Draw accuracy upwards against size to the right.

    Trials off the front are dots, or where they are many an image of their mass; PRUNED trials are
    crosses, RUNNING ones open circles, FAIL ones triangles along the foot. The front is large
    points, and a step line bounds what was reached. Planned, verified and reported students have
    marks of their own, the selected trials have a ring in the colour of their curve, and the one
    that the limit picks a larger ring in the colour of the limit.
    """
    colours = palette(scheme)
    marks = TrialMarks(picture.columns, picture.axis, picture.expectations, picture.scale)
    planned = PlannedLine.of(picture.planned, picture.axis)
    axes = _axes(picture, marks, planned, zoom)
    is_lifted = _is_lifted(picture, marks, axes)
    if is_lifted and zoom is None:
        assert picture.teacher_accuracy is not None
        low, high = axes["yaxis"]["range"]
        line = picture.scale.height(100 * picture.teacher_accuracy)
        axes["yaxis"]["range"] = [low, max(high, line + _ROOM * (high - low))]
    return {
        "data": [
            *_trials(picture, marks, zoom, colours),
            *([] if planned is None else [planned.trace(colours)]),
            *reference_marks(picture.references, picture.axis, colours, picture.scale),
            *verified_marks(
                _verified(picture, picture.shown), picture.axis, colours, picture.verified_scale
            ),
            *_choice(picture, marks, colours),
            _rings(picture, marks, colours),
        ],
        "layout": {
            "template": template(scheme),
            **axes,
            **_lines(picture, planned, axes["xaxis"]["range"], colours, is_lifted=is_lifted),
            "uirevision": revision(picture.axis, picture.scale),
            # A box that selected trials has done so; a line that was dragged lies where it is now.
            "selectionrevision": repr(picture.selected),
            "editrevision": repr(picture.limit),
            "margin": _MARGIN,
        },
    }


def _is_lifted(picture: FrontPicture, marks: TrialMarks, axes: dict[str, Any]) -> bool:
    """Return whether a trial lies on the teacher's line where its words are."""
    if picture.teacher_accuracy is None:
        return False
    low, high = axes["yaxis"]["range"]
    left, right = axes["xaxis"]["range"]
    rows = marks.drawable(picture.ranged)
    below = picture.scale.height(100 * picture.teacher_accuracy) - marks.y[rows]
    x = np.log10(marks.x[rows]) if picture.axis.shown.is_log10 else marks.x[rows]
    is_near = np.abs(below) <= _NEAR * (high - low)
    return bool((is_near & (x >= left) & (x <= left + _WORDS * (right - left))).any())


def _lines(
    picture: FrontPicture,
    planned: PlannedLine | None,
    across: tuple[float, float],
    colours: Palette,
    *,
    is_lifted: bool,
) -> dict[str, Any]:
    """Return the lines across the chart: the teacher's accuracy, and the limit to choose by.

    With them are words: theirs, and those over the strip of what is ``planned``. ``across`` is the
    range of the axis to the right.
    """
    # At the left end, which few small students come near.
    lines = teacher_line(
        picture.teacher_accuracy, colours, "left", picture.scale, is_lifted=is_lifted
    )
    shapes, words = list(lines.get("shapes", ())), list(lines.get("annotations", ()))
    if planned is not None:
        words.append(planned.title(colours))
    if picture.limit is not None:
        shape, limit = drawn(picture.limit, picture.axis, colours, picture.scale)
        left, right = across
        if picture.limit.is_size and (limit["x"] - left) / (right - left) > _FAR_RIGHT:
            limit |= {"xanchor": "right", "xshift": -limit["xshift"]}
        shapes.append(shape)
        words.append(limit)
    return {"shapes": shapes, "annotations": words}


def _trials(
    picture: FrontPicture, marks: TrialMarks, zoom: Zoom | None, colours: Palette
) -> list[Trace]:
    columns = picture.columns
    shown = picture.shown if zoom is None else _within(picture.shown, marks, zoom)
    there = marks.drawable(shown)
    off = there[~np.isin(there, picture.front)]
    complete = off[columns.is_in(TrialState.COMPLETE)[off]]
    pruned = off[columns.is_in(TrialState.PRUNED)[off]]
    running = off[columns.is_in(TrialState.RUNNING)[off]]
    failed = shown[columns.is_in(TrialState.FAIL)[shown]]
    front = picture.front[np.isin(picture.front, there)]
    front_colours: str | list[str] = colours.front
    name = f"front ({len(front)})"
    ring = {"symbol": "circle", "size": 11, "line": {"width": 1.5, "color": colours.paper}}
    in_legend: list[Trace] = []
    if picture.colouring is not None:
        groups = GroupMarks(picture.colouring, marks, colours)
        front_colours = groups.colours_of(front)
        # Of marks of many colours plotly's legend has the first one's.
        in_legend = [NAME_ALONE | {"marker": ring | {"color": colours.ink}, "name": name}]
    return [
        marks.mass(
            pruned,
            f"stopped early ({len(pruned):,})",
            {"symbol": "x-thin", "size": 7, "line": {"width": 1.5, "color": colours.pruned}},
            _scale(colours.pruned, colours),
        ),
        *(
            [
                marks.mass(
                    complete,
                    f"complete ({len(complete):,})",
                    {"symbol": "circle", "size": 7, "color": colours.complete},
                    _scale(colours.complete, colours),
                )
            ]
            if picture.colouring is None
            else groups.traces(complete)
        ),
        marks.points(
            running,
            f"running ({len(running)})",
            {"symbol": "circle-open", "size": 9, "color": colours.faint, "line": {"width": 1.5}},
        ),
        marks.rug(
            failed,
            f"failed ({len(failed):,})",
            "failed",
            {"symbol": "triangle-up", "size": 9, "color": colours.fail},
        ),
        _step_line(picture, marks, colours),
        *in_legend,
        marks.points(
            front,
            name,
            ring | {"color": front_colours},
            showlegend=len(front) > 0 and not in_legend,
        ),
    ]


def _drawn(picture: FrontPicture, marks: TrialMarks, rows: Rows) -> Rows:
    """Return those of the rows that have a place and that the filters leave."""
    there = marks.drawable(rows)
    return there[np.isin(there, picture.shown)]


def _within(rows: Rows, marks: TrialMarks, zoom: Zoom) -> Rows:
    """Return the rows that a zoom shows: so few may be left that an image becomes single marks."""
    left, right, low, high = zoom
    x = np.log10(marks.x[rows]) if marks.axis.shown.is_log10 else marks.x[rows]
    y = marks.y[rows]
    return rows[(x >= left) & (x <= right) & (np.isnan(y) | ((y >= low) & (y <= high)))]


def _scale(colour: str, colours: Palette) -> tuple[str, str]:
    """Return the colours of few and of many trials of a kind."""
    return blend(colours.paper, colour, 0.3), blend(colour, colours.ink, 0.4)


def _step_line(picture: FrontPicture, marks: TrialMarks, colours: Palette) -> Trace:
    """Bound the region the trials reach: each holds until a more accurate one takes over."""
    rows = _drawn(picture, marks, picture.steps)
    rows = rows[np.lexsort((marks.y[rows], marks.x[rows]))]
    # On another axis than the front's own, or of fewer objectives, it is another front: it says so.
    front = _drawn(picture, marks, picture.front)
    is_other = len(rows) > 0 and not np.array_equal(np.sort(rows), np.sort(front))
    return {
        "type": "scatter",
        "x": short(marks.x[rows]),
        "y": short(marks.y[rows]),
        "mode": "lines",
        "line": {"shape": "hv", "width": 2, "color": colours.front},
        "hoverinfo": "skip",
        "name": f"most accurate by {picture.axis.shown.label}" if is_other else None,
        "showlegend": is_other,
    }


def _choice(picture: FrontPicture, marks: TrialMarks, colours: Palette) -> list[Trace]:
    if picture.chosen is None:
        return []
    rows = _drawn(picture, marks, np.array([picture.chosen]))
    return [
        {
            "type": "scatter",
            "x": short(marks.x[rows]),
            "y": short(marks.y[rows]),
            "mode": "markers",
            "cliponaxis": False,
            "marker": {
                "symbol": "circle-open",
                "size": 24,
                "color": colours.pruned,
                "line": {"width": 2.5},
            },
            "hoverinfo": "skip",
            "name": f"chosen: trial {number}",
            "showlegend": True,
        }
        for number in picture.columns.number[rows].tolist()
    ]


def _rings(picture: FrontPicture, marks: TrialMarks, colours: Palette) -> Trace:
    places = {number: place for place, number in enumerate(picture.selected)}
    rows = _drawn(picture, marks, picture.columns.rows_of(picture.selected))
    teacher = picture.teacher_accuracy
    line = np.inf if teacher is None else picture.scale.height(100 * teacher)
    series = [colours.colour(places[number]) for number in picture.columns.number[rows].tolist()]
    return {
        "type": "scatter",
        "x": short(marks.x[rows]),
        "y": short(marks.y[rows]),
        "customdata": [[number] for number in picture.columns.number[rows].tolist()],
        "text": [f"{number}" for number in picture.columns.number[rows].tolist()],
        # Over the teacher's line are its words.
        "textposition": [
            "bottom center" if is_on_line else "top center"
            for is_on_line in (marks.y[rows] >= line)
        ],
        "textfont": {"color": colours.ink},
        "mode": "markers+text",
        "cliponaxis": False,
        "marker": {
            "symbol": "circle-open",
            "size": 18,
            "color": series,
            "line": {"width": 2.5},
        },
        # The trial's own mark lies inside the ring and answers to the pointer.
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _verified(picture: FrontPicture, rows: Rows) -> list[VerifiedPoint]:
    """Return what `verify` found of the trials of some rows."""
    numbers = set(picture.columns.number[rows].tolist())
    return [point for point in picture.verified if point.trial.number in numbers]


def _axes(
    picture: FrontPicture,
    marks: TrialMarks,
    planned: PlannedLine | None,
    zoom: Zoom | None,
) -> dict[str, Any]:
    xs, ys = _reach(picture, marks)
    # The test part's accuracies are no validation accuracies.
    title = "accuracy" if picture.verified else OBJECTIVES["accuracy"].label
    axes = front_scales(picture.axis, xs, ys, zoom, picture.scale, title)
    axes["yaxis2"] = {"overlaying": "y", "range": [0, 1], "fixedrange": True, "visible": False}
    if planned is not None:
        axes = {name: axes.get(name, {}) | own for name, own in planned.settings().items()}
        # In the height that is left; the ticks show it.
        upwards = axes["yaxis"]["title"]
        axes["yaxis"]["title"] = upwards | {"text": upwards["text"].removesuffix(" (log scale)")}
    # The margins have room for all words: plotly need not measure them, nor lay out once more. For
    # the legend it does, which has several rows on a narrow page.
    return {name: axis | {"automargin": False} for name, axis in axes.items()}


def _reach(picture: FrontPicture, marks: TrialMarks) -> tuple[list[float], list[float]]:
    """Return the ends of what has to find room, to the right and upwards."""
    rows = picture.ranged
    xs = marks.x[rows][np.isfinite(marks.x[rows])].tolist()
    ys = marks.y[marks.drawable(rows)].tolist()
    if picture.axis.objective == "memory_ratio":
        xs += [point.memory_ratio for point in picture.references]
        ys += [picture.scale.height(100 * point.accuracy) for point in picture.references]
    ys += [
        picture.verified_scale.height(100 * point.test_accuracy)
        for point in _verified(picture, rows)
    ]
    if picture.teacher_accuracy is not None and ys:
        ys.append(picture.scale.height(100 * picture.teacher_accuracy))
    if (limit := picture.limit) is not None and xs and ys:
        if not limit.is_size:
            ys.append(picture.scale.height(limit.value))
        elif min(xs) / _FAR < limit.value < max(xs) * _FAR:
            xs.append(limit.value)
    return [min(xs), max(xs)] if xs else [], [min(ys), max(ys)] if ys else []
