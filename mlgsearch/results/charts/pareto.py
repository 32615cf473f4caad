"""The picture of a study: every trial, the front, and the teacher to compare with."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from mlgsearch.records import OBJECTIVES, Objective, TrialRecord, TrialState
from mlgsearch.results.analysis.front import front, is_usable
from mlgsearch.results.charts.axis import axis_of
from mlgsearch.results.charts.layout import BLUE, GREY, draw_teacher, lay_out, say_empty
from mlgsearch.words import TIMES

_PRUNED = "#D55E00"

#: How plotly.js shows the chart of a file. Its "Share chart..." uploads the chart: the button goes,
#: and so does its address.
_CONFIG = {
    "displaylogo": False,
    "responsive": True,
    "modeBarButtonsToRemove": ["sendChartToCloud"],
    "plotlyServerURL": "",
}

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>body {{ margin: 0; }}</style>
<script>window.PlotlyConfig = {{MathJaxConfig: "local"}};</script>
<script>{library}</script>
<script>Plotly.setPlotConfig({config});</script>
</head>
<body>{chart}</body>
</html>
"""


def pareto_chart(
    trials: Iterable[TrialRecord],
    objectives: Sequence[str],
    *,
    title: str,
    teacher_accuracy: float | None = None,
) -> go.Figure:
    """Draw the first objective upwards against the second to the right.

    COMPLETE trials are dots, PRUNED ones crosses at the value they had; the front of all
    ``objectives`` is large dots, and a step line bounds what the two drawn objectives reach
    together. A trial without a value to draw is left out. Accuracies are drawn in percent;
    ``teacher_accuracy`` is a fraction. A hover shows the trial's number (also its ``customdata``)
    and values. The ``title`` is shown as it is written: nothing in it is markup.

    Raises:
        ValueError: fewer than two objectives, or as ``front``.
    """
    if len(objectives) < 2:
        raise ValueError(f"a chart needs two objectives, got {list(objectives)}")
    trials = list(trials)
    best = front(trials, objectives)
    y, x = OBJECTIVES[objectives[0]], OBJECTIVES[objectives[1]]
    best_numbers = {trial.number for trial in best}
    drawable = [trial for trial in trials if _is_drawable(trial, x) and _is_drawable(trial, y)]
    complete = [trial for trial in drawable if trial.state is TrialState.COMPLETE]
    others = [trial for trial in complete if trial.number not in best_numbers]
    pruned = [trial for trial in drawable if trial.state is TrialState.PRUNED]
    figure = go.Figure(
        [
            _points(pruned, x, y, objectives, f"stopped early ({len(pruned)})", _CROSS),
            _points(others, x, y, objectives, f"complete ({len(others)})", _DOT),
            _steps(front(trials, objectives[:2]), x, y),
            _points(best, x, y, objectives, f"front ({len(best)})", _LARGE_DOT),
        ]
    )
    drawn = [*pruned, *others, *best]
    xs, ys = [_shown(trial, x) for trial in drawn], [_shown(trial, y) for trial in drawn]
    if teacher_accuracy is not None and y.name == "accuracy":
        draw_teacher(figure, 100 * teacher_accuracy)
        if drawn:
            ys.append(100 * teacher_accuracy)
    if not drawn:
        say_empty(figure, "no trial has finished yet")
    figure.update_xaxes(axis_of(x, xs))
    figure.update_yaxes(axis_of(y, ys))
    lay_out(figure, title)
    return figure


def write_html(figure: go.Figure, path: Path) -> None:
    """Write the chart as one HTML file that needs no network: plotly.js is inside (4 to 5 MB)."""
    # The configuration is in the page: `to_html` drops an empty plotlyServerURL from its own.
    chart = figure.to_html(
        full_html=False, include_plotlyjs=False, div_id="chart", default_height="100vh"
    )
    page = _PAGE.format(
        title=figure.layout.title.text or "Pareto front",  # escaped already
        library=get_plotlyjs(),
        config=json.dumps(_CONFIG),
        chart=chart,
    )
    path.write_text(page, encoding="utf-8")


_CROSS = {"symbol": "x-thin", "size": 7, "line": {"width": 1.5, "color": _PRUNED}}
_DOT = {"symbol": "circle", "size": 7, "color": GREY, "opacity": 0.7}
_LARGE_DOT = {
    "symbol": "circle",
    "size": 12,
    "color": BLUE,
    "line": {"width": 1.5, "color": "white"},
}


def _points(
    trials: Sequence[TrialRecord],
    x: Objective,
    y: Objective,
    objectives: Sequence[str],
    name: str,
    marker: dict[str, Any],
) -> go.Scatter:
    return go.Scatter(
        x=[_shown(trial, x) for trial in trials],
        y=[_shown(trial, y) for trial in trials],
        # Lists: numpy arrays vanish from Dash's click data.
        customdata=[[trial.number] for trial in trials],
        text=[_hover(trial, objectives) for trial in trials],
        hovertemplate="%{text}<extra></extra>",
        mode="markers",
        marker=marker,
        name=name,
        showlegend=bool(trials),
    )


def _steps(best: Sequence[TrialRecord], x: Objective, y: Objective) -> go.Scatter:
    """Bound the region the trials reach: each holds until a better one takes over."""
    corners = sorted((_shown(trial, x), _shown(trial, y)) for trial in best)
    return go.Scatter(
        x=[corner[0] for corner in corners],
        y=[corner[1] for corner in corners],
        mode="lines",
        # A small-is-better x reaches rightwards from its point, a large-is-better one leftwards.
        line={"shape": "vh" if x.larger_is_better else "hv", "width": 2, "color": BLUE},
        hoverinfo="skip",
        showlegend=False,
    )


def _shown(trial: TrialRecord, objective: Objective) -> float:
    value = trial.objective_value(objective.name)
    assert value is not None, f"trial {trial.number} has no {objective.name}"
    return 100 * value if objective.name == "accuracy" else value


def _is_drawable(trial: TrialRecord, objective: Objective) -> bool:
    return is_usable(trial.objective_value(objective.name), objective)


def _hover(trial: TrialRecord, objectives: Sequence[str]) -> str:
    lines = [f"<b>trial {trial.number}</b>"]
    if trial.state is TrialState.PRUNED:
        lines[0] += f", stopped after epoch {trial.epochs_done} of {trial.epochs_wanted}"
    for name in objectives:
        value = trial.objective_value(name)
        label = OBJECTIVES[name].label
        if value is None:
            continue
        if name == "accuracy":
            lines.append(f"{label}: {100 * value:.2f} %")
        elif name == "memory_ratio":
            lines.append(f"{label}: {value:.4f}")
            lines.append(f"compression: {TIMES}{1 / value:.1f}")
        else:
            lines.append(f"{label}: {value:.4g}")
    if trial.reused_from is not None:
        lines.append(f"same training as trial {trial.reused_from}")
    return "<br>".join(lines)
