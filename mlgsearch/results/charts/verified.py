"""The picture of what was verified: test accuracy with its spread, against size."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

import plotly.graph_objects as go

from mlgsearch.records import OBJECTIVES, Objective
from mlgsearch.results.analysis.uncertainty.verification import (
    VerifiedPoint,
    likely,
    with_spread,
)
from mlgsearch.results.charts.axis import axis_of
from mlgsearch.results.charts.layout import BLUE, GREY, blend, draw_teacher, lay_out, say_empty
from mlgsearch.words import TIMES, counted

_LEGEND = (
    "bars: one standard deviation over the seeds; the fuller a point, the likelier on the front"
)
_ACCURACY = replace(OBJECTIVES["accuracy"], label="test accuracy")


def verified_chart(
    points: Sequence[VerifiedPoint],
    objectives: Sequence[str],
    *,
    title: str,
    teacher_accuracy: float | None = None,
) -> go.Figure:
    """Draw mean test accuracy upwards against the study's first objective of size to the right.

    A bar reaches one standard deviation over the seeds both ways. A point is the fuller, the more
    likely it is on the front; trainings of different lengths have different shapes. A hover shows
    the trial's number (also its ``customdata``) and figures. ``teacher_accuracy`` is a fraction,
    on the test part.
    """
    sizes = [name for name in objectives if name not in ("accuracy", "loss")] or ["memory_ratio"]
    x = OBJECTIVES[sizes[0]]
    figure = go.Figure()
    for place, (epochs, group) in enumerate(groupby(points, key=lambda point: point.epochs)):
        figure.add_trace(_trace(list(group), x, epochs, place))
    xs = [_size(point, x) for point in points]
    ys = [y for point in points for y in _reach(point)]
    if teacher_accuracy is not None:
        draw_teacher(figure, 100 * teacher_accuracy)
        if points:
            ys.append(100 * teacher_accuracy)
    if not points:
        say_empty(figure, "no trial is verified yet")
    figure.update_xaxes(axis_of(x, xs))
    figure.update_yaxes(axis_of(_ACCURACY, ys))
    lay_out(figure, title, _LEGEND)
    return figure


def _trace(points: Sequence[VerifiedPoint], x: Objective, epochs: int, place: int) -> go.Scatter:
    return go.Scatter(
        x=[_size(point, x) for point in points],
        y=[100 * point.test_accuracy for point in points],
        error_y={
            "type": "data",
            "array": [100 * (point.test_std or 0.0) for point in points],
            "color": GREY,
            "thickness": 1.5,
            "width": 5,
        },
        customdata=[[point.trial.number] for point in points],
        text=[_hover(point, x) for point in points],
        hovertemplate="%{text}<extra></extra>",
        mode="markers",
        marker={
            "symbol": ("circle", "diamond", "square", "triangle-up")[place % 4],
            "size": 12,
            "color": [blend("#FFFFFF", BLUE, point.front_probability or 0.0) for point in points],
            "line": {"width": 2, "color": BLUE},
        },
        name=f"{counted(epochs, 'epoch')} ({len(points)})",
        showlegend=True,
    )


def _size(point: VerifiedPoint, x: Objective) -> float:
    value = point.objective_value(x.name)
    assert value is not None, f"trial {point.trial.number} has no {x.name}"
    return value


def _reach(point: VerifiedPoint) -> tuple[float, float]:
    std = point.test_std or 0.0
    return 100 * (point.test_accuracy - std), 100 * (point.test_accuracy + std)


def _hover(point: VerifiedPoint, x: Objective) -> str:
    lines = [
        f"<b>trial {point.trial.number}</b>, {counted(len(point.seeds), 'seed')}",
        f"test accuracy: {with_spread(point.test_accuracy, point.test_std)}",
        f"from the packed file: {100 * point.packed_accuracy:.2f} %",
        f"validation accuracy: {100 * point.validation_accuracy:.2f} %",
    ]
    if point.front_probability is not None:
        lines.append(f"on the front: {likely(point.front_probability)}")
    value = _size(point, x)
    lines.append(f"{x.label}: {value:.4g}")
    if x.name.endswith("_ratio"):
        lines.append(f"{TIMES}{1 / value:.1f} smaller")
    return "<br>".join(lines)
