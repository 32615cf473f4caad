"""A study's parallel coordinates in a view: which lanes, which lines, and what is said of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from dash import html, no_update, set_props
from dash._no_update import NoUpdate

from dashboard.charts.axes.size_axis import SIZE_AXES, SizeAxis
from dashboard.charts.layers.layer_names import short_names
from dashboard.charts.parallel.chart import (
    LANE_WIDTH,
    LEAST_LANES,
    ParallelPicture,
    lines_of,
    parallel_chart,
)
from dashboard.charts.parallel.lanes import LINE, Lane
from dashboard.database import Database
from dashboard.pages.study.data import StudyData
from dashboard.pages.study.picture import accuracy_scale, colouring_of
from dashboard.pages.study.view import StudyView
from dashboard.parts.chart import chart
from dashboard.parts.page import Scheme
from dashboard.parts.values.student import written_bytes
from mlgsearch.results.analysis.layer_groups import LayerGroups
from mlgsearch.results.analysis.trial_columns import Floats, Rows

#: The chart's id.
_CHART = "study-parallel"

#: So many groups of layers have a lane; of more, those that take most.
MOST_GROUPS = 8


@dataclass(frozen=True)
class Parallel:
    """The picture, and what it shows in words."""

    picture: ParallelPicture
    summary: str


def parallel_of(database: Database, data: StudyData, view: StudyView) -> Parallel:
    """Return what the parallel coordinates draw in a view."""
    columns, left = data.columns, data.filtered(view)
    groups = database.layer_groups(data.results)
    rows = lines_of(columns, left.rows, left.front, view.selected)
    # Lanes have room for what a replay ends with.
    last = lines_of(columns, left.ranged, data.results.front, view.selected)
    picture = ParallelPicture(
        columns=columns,
        lanes=_lanes(database, data, view, groups, np.union1d(rows, last)),
        rows=rows,
        front=left.front,
        selected=view.selected,
        colouring=colouring_of(data, view),
    )
    return Parallel(picture, _summary(picture, left.rows, len(groups.names)))


def draw_parallel(
    drawn: Parallel, name: str, scheme: Scheme, *, is_there: bool
) -> html.Figure | NoUpdate:
    """Return the chart of a study's parallel coordinates; where it ``is_there``, draw it anew."""
    figure = parallel_chart(drawn.picture, scheme)
    if is_there:
        set_props(_CHART, {"figure": figure})
        set_props(f"{_CHART}-summary", {"children": drawn.summary})
        return no_update
    return chart(
        _CHART,
        figure,
        title="Parallel coordinates",
        summary=drawn.summary,
        file=f"{name}-parallel",
        table="study-table",
        least_width=LANE_WIDTH * len(drawn.picture.lanes),
    )


def _lanes(
    database: Database, data: StudyData, view: StudyView, groups: LayerGroups, rows: Rows
) -> list[Lane]:
    """Return the lanes with room for rows: budget, hyperparameters, groups, sizes, accuracy."""
    columns, known = data.columns, data.hyperparameters
    budgets = database.budgets(data.results)
    sizes = [
        view.axis,
        *(
            SIZE_AXES[name]
            for name in data.record.objectives
            if name in SIZE_AXES and SIZE_AXES[name].objective != view.axis.objective
        ),
    ]
    lanes = [
        None
        if budgets is None
        else Lane.of_numbers("budget in KB", budgets, rows, _brief, is_size=True),
        *(
            Lane.of_numbers(title, known.numbers(name), rows, _brief)
            if name in known.numeric
            else Lane.of_words(title, known.values[name], rows)
            for name, title in zip(known.varied, _last_parts(known.varied), strict=True)
        ),
        *_group_lanes(groups, rows),
        *(_size_lane(axis, axis.values(columns), rows) for axis in sizes),
        Lane.of_accuracies(100 * columns.accuracy, rows, accuracy_scale(data, view)),
    ]
    return [lane for lane in lanes if lane is not None]


def _size_lane(axis: SizeAxis, values: Floats, rows: Rows) -> Lane | None:
    return Lane.of_numbers(axis.shown.label, values, rows, _brief, is_size=axis.shown.is_log10)


def _group_lanes(groups: LayerGroups, rows: Rows) -> list[Lane | None]:
    """Return a lane per group of layers, those that take most where they are many."""
    taken = np.nan_to_num(groups.bytes[rows]).sum(0)  # (groups,)
    largest = np.sort(np.argsort(-taken, kind="stable")[:MOST_GROUPS]).tolist()
    titles = short_names(groups.names, most=LINE)
    return [
        Lane.of_numbers(titles[place], groups.bytes[:, place], rows, _written, is_size=True)
        for place in largest
    ]


def _last_parts(names: Sequence[str]) -> list[str]:
    """Return what follows the last dot of hyperparameters' names, where that tells them apart."""
    last = [name.rpartition(".")[2] for name in names]
    return [
        short if last.count(short) == 1 else name for short, name in zip(last, names, strict=True)
    ]


def _brief(value: float) -> str:
    return f"{value / 1000:.3g}k" if value >= 10_000 else f"{value:.4g}"


def _written(count: float) -> str:
    """Write bytes without zeros that a tick does not need."""
    return written_bytes(count).replace(".00 ", " ").replace(".0 ", " ")


def _summary(picture: ParallelPicture, shown: Rows, groups: int) -> str:
    known = int(np.isfinite(picture.columns.accuracy[shown]).sum())
    if not known:
        return "No trial with an accuracy is shown."
    if len(picture.lanes) < LEAST_LANES:
        return "No two trials with an accuracy differ yet."
    drawn, on_front = len(picture.rows), int(np.isin(picture.rows, picture.front).sum())
    said = (
        f"{drawn:,} lines, one per trial with an accuracy; {on_front:,} are on the front."
        if drawn == known
        else f"{drawn:,} lines for {known:,} trials with an accuracy: first the {on_front:,} "
        "on the front, then the most accurate."
    )
    if groups > MOST_GROUPS:
        said += f" Of {groups} groups of layers the {MOST_GROUPS} that take most have an axis."
    return f"{said} The front's lines are thick; a click on a line selects its trial."
