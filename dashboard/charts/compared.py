"""Marks of what a study's trials are compared with: verified students, and reported ones."""

from collections.abc import Sequence
from textwrap import wrap

import numpy as np

from dashboard.charts.axes.accuracy_scale import IN_PERCENT, AccuracyScale
from dashboard.charts.axes.size_axis import SizeAxis
from dashboard.theme import Palette, Trace, text
from mlgsearch.records import ReferencePoint
from mlgsearch.results.analysis.uncertainty.verification import (
    VerifiedPoint,
    likely,
    with_spread,
)
from mlgsearch.words import TIMES, counted


def verified_marks(
    points: Sequence[VerifiedPoint],
    axis: SizeAxis,
    colours: Palette,
    scale: AccuracyScale = IN_PERCENT,
) -> list[Trace]:
    """Draw the mean test accuracies, with a bar of one standard deviation over the seeds both ways.

    A point of which only one seed was trained has no bar. ``customdata`` holds the trial's number.
    """
    drawn = [(point, size) for point in points if (size := _size(point, axis)) is not None]
    if not drawn:
        return []
    mean = np.array([100 * point.test_accuracy for point, _ in drawn])
    spread = np.array([100 * (point.test_std or 0.0) for point, _ in drawn])
    low, middle, high = (scale.heights(one) for one in (mean - spread, mean, mean + spread))
    return [
        {
            "type": "scatter",
            "x": [size for _, size in drawn],
            "y": middle.round(4).tolist(),
            "error_y": {
                "type": "data",
                "symmetric": False,
                "array": (high - middle).round(4).tolist(),
                "arrayminus": (middle - low).round(4).tolist(),
                "color": colours.verified,
                "thickness": 1.5,
                "width": 5,
            },
            "customdata": [[point.trial.number] for point, _ in drawn],
            "text": [_verified(point) for point, _ in drawn],
            "hovertemplate": (
                "<b>trial %{customdata[0]}, verified</b><br>%{text}<br>"
                f"{axis.shown.label}: %{{x:{axis.d3}}}<extra></extra>"
            ),
            "mode": "markers",
            "marker": {
                "symbol": "diamond",
                "size": 10,
                "color": colours.verified,
                "line": {"width": 1, "color": colours.paper},
            },
            "name": f"verified on the test part ({len(drawn)})",
        }
    ]


def reference_marks(
    points: Sequence[ReferencePoint],
    axis: SizeAxis,
    colours: Palette,
    scale: AccuracyScale = IN_PERCENT,
) -> list[Trace]:
    """Draw what others report, with source and protocol in the hover.

    They are known by their memory ratio alone; on other axes there are none.
    """
    if not points or axis.objective != "memory_ratio":
        return []
    return [
        {
            "type": "scatter",
            "x": [point.memory_ratio for point in points],
            "y": [round(scale.height(100 * point.accuracy), 4) for point in points],
            "text": [text(point.name) for point in points],
            "customdata": [
                [_wrapped(point.source), _wrapped(point.protocol), f"{100 * point.accuracy:.2f}"]
                for point in points
            ],
            "hovertemplate": (
                "<b>%{text}</b><br>accuracy: %{customdata[2]} %<br>"
                f"{axis.shown.label}: %{{x:{axis.d3}}}<br>"
                "source: %{customdata[0]}<br>protocol: %{customdata[1]}<extra></extra>"
            ),
            "mode": "markers",
            "marker": {
                "symbol": "star",
                "size": 12,
                "color": colours.reference,
                "line": {"width": 1, "color": colours.paper},
            },
            "name": f"reported by others ({len(points)})",
        }
    ]


def _size(point: VerifiedPoint, axis: SizeAxis) -> float | None:
    value = point.objective_value(axis.objective) if axis.objective else None
    return None if value is None or value <= 0 else value / axis.unit


def _verified(point: VerifiedPoint) -> str:
    lines = [
        f"test accuracy: {with_spread(point.test_accuracy, point.test_std)}",
        f"{counted(len(point.seeds), 'seed')} {TIMES} {point.epochs} epochs",
        f"from the packed file: {100 * point.packed_accuracy:.2f} %",
    ]
    if point.front_probability is not None:
        lines.append(f"on the front: {likely(point.front_probability)}")
    return "<br>".join(lines)


def _wrapped(value: str, width: int = 60) -> str:
    """Break a text into lines a hover has room for."""
    return "<br>".join(text(line) for line in wrap(value, width))
