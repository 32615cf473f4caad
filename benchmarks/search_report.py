"""What `search.py` reads off its studies: hypervolume against trials, accuracy at equal memory."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mlgsearch.records import TrialRecord, TrialState
from mlgsearch.results.analysis.front import front, front_hypervolume
from mlgsearch.results.charts.layout import lay_out
from mlgsearch.results.charts.pareto import write_html
from mlgsearch.study.file.search_spec import EarlyStoppingSpec
from mlgsearch.study.search.halving import Halving, replay

OBJECTIVES = ("accuracy", "memory_ratio")

#: Five memory ratios in the steep part of each task's curve.
RATIOS = {
    "digits": (0.028, 0.030, 0.033, 0.036, 0.040),
    "digits-long": (0.016, 0.020, 0.025, 0.032, 0.040),
    "cifar10": (0.020, 0.024, 0.028, 0.034, 0.040),
}

OURS = "allocation, TPE"
STOPPED = ("allocation, TPE, stopped early", "allocation, TPE, stopped eagerly")
UNIFORM = "uniform grid"
FAIR = "uniform grid, equal options"
BLIND = ("layerwise, TPE", "layerwise, NSGA-II", "layerwise, random")

#: Okabe and Ito's palette.
_COLOURS = {
    OURS: "#0072B2",
    "layerwise, TPE": "#D55E00",
    "layerwise, NSGA-II": "#009E73",
    "layerwise, random": "#CC79A7",
    UNIFORM: "#E69F00",
    FAIR: "#56B4E9",
}

_AFTER = (6, 12, 20, 40, 60)
#: The first is that of the word ``on``.
_RULES = {
    name: Halving(**rule.model_dump())
    for name, rule in {
        "on": EarlyStoppingSpec(),
        "min_trials 4": EarlyStoppingSpec(min_trials=4),
        "min_trials 4, tolerance 0": EarlyStoppingSpec(min_trials=4, tolerance=0),
        "factor 24, rung_factor 2, min_trials 4": EarlyStoppingSpec(
            factor=24, rung_factor=2, min_trials=4
        ),
    }.items()
}


@dataclass(frozen=True)
class Searched:
    """One study: its finished trials by number, and accuracies by number and epoch."""

    trials: Sequence[TrialRecord]
    curves: Mapping[int, Mapping[int, float]]

    @cached_property
    def hypervolumes(self) -> list[float]:
        """The hypervolume after each trial, in the order of their numbers."""
        counts = range(1, len(self.trials) + 1)
        return [front_hypervolume(self.trials[:count], OBJECTIVES, {}) for count in counts]

    @cached_property
    def epochs(self) -> int:
        """What was trained; a trial that shares another's result trained nothing."""
        return sum(trial.epochs_done for trial in self.trials if trial.reused_from is None)

    def accuracy_within(self, ratio: float) -> float | None:
        """Return the best accuracy of a COMPLETE trial of at most this memory ratio, in percent."""
        found = [
            trial.accuracy
            for trial in self.trials
            if trial.state is TrialState.COMPLETE
            and trial.accuracy is not None
            and trial.sizes.memory_ratio <= ratio
        ]
        return round(100 * max(found), 2) if found else None

    def stopped_by(self, rule: Halving) -> tuple[int, int, float, float]:
        """Replay the full curves under a rule of early stopping.

        Returns:
            The front's trials, those of them that the rule stopped, the share of the epochs, and
            of the hypervolume.
        """
        own = [trial for trial in self.trials if trial.reused_from is None]
        curves = np.array([[a for _, a in sorted(self.curves[t.number].items())] for t in own])
        costs = np.array([trial.sizes.memory_ratio for trial in own])
        done = replay(curves, costs, rule)
        left = [trial for trial, n in zip(own, done, strict=True) if n == curves.shape[1]]
        kept = {trial.number for trial in left}
        best = front(own, OBJECTIVES)
        return (
            len(best),
            sum(trial.number not in kept for trial in best),
            float(done.sum() / curves.size),
            front_hypervolume(left, OBJECTIVES, {}) / front_hypervolume(own, OBJECTIVES, {}),
        )

    @property
    def least_epochs(self) -> float:
        """The share of the epochs if all that is not on the front had stopped after the first."""
        own = [trial for trial in self.trials if trial.reused_from is None]
        on_front = len(front(own, OBJECTIVES)) / len(own)
        return on_front + (1 - on_front) / own[0].epochs_wanted


#: Studies by arm and seed.
Runs = dict[str, dict[int, Searched]]


def summarise(task: str, runs: Runs) -> dict[str, Any]:
    """Return every figure as plain data; lists run over the seeds that are through."""
    return {
        "seeds": {arm: sorted(seeds) for arm, seeds in runs.items()},
        "hypervolume_after": {
            arm: {
                after: [
                    round(searched.hypervolumes[after - 1], 4)
                    for searched in seeds.values()
                    if after <= len(searched.trials)
                ]
                for after in _AFTER
            }
            for arm, seeds in runs.items()
        },
        "trials_to_best_of_layerwise_60": _trials_to_blind(runs),
        "accuracy_within_ratio": {
            ratio: {
                arm: [searched.accuracy_within(ratio) for searched in seeds.values()]
                for arm, seeds in runs.items()
            }
            for ratio in RATIOS[task]
        },
        "points_above_uniform": {grid: _above(grid, task, runs) for grid in (UNIFORM, FAIR)},
        "early_stopping": {arm: _early_stopping(arm, runs) for arm in STOPPED},
        "early_stopping_replayed": {name: _replayed(rule, runs) for name, rule in _RULES.items()},
    }


def _trials_to_blind(runs: Runs) -> dict[int, int | None]:
    """Return by seed after how many of our trials the best of the blind searches is reached."""
    found = {}
    for seed, ours in runs.get(OURS, {}).items():
        blind = [runs[arm][seed] for arm in BLIND if seed in runs.get(arm, {})]
        if len(blind) == len(BLIND):
            best = max(searched.hypervolumes[-1] for searched in blind)
            reached = (n for n, volume in enumerate(ours.hypervolumes, 1) if volume >= best)
            found[seed] = next(reached, None)
    return found


def _above(grid: str, task: str, runs: Runs) -> dict[str, Any]:
    """Compare with the best uniform setting of a grid of at most each size, in points."""
    by_seed = {}
    for seed, ours in runs.get(OURS, {}).items():
        uniform = runs.get(grid, {}).get(seed)
        if uniform is not None:
            pairs = [(ours.accuracy_within(r), uniform.accuracy_within(r)) for r in RATIOS[task]]
            by_seed[seed] = [None if a is None or b is None else round(a - b, 2) for a, b in pairs]
    points = [gain for seed in by_seed.values() for gain in seed if gain is not None]
    return {
        "by_seed_and_ratio": by_seed,
        "mean": round(statistics.fmean(points), 2) if points else None,
    }


def _early_stopping(arm: str, runs: Runs) -> dict[str, list[float]]:
    """Compare our search with itself stopped early: hypervolume kept, epochs spent, by seed."""
    full, stopped = runs.get(OURS, {}), runs.get(arm, {})
    pairs = [(full[seed], stopped[seed]) for seed in full if seed in stopped]
    return {
        "hypervolume_kept": [round(b.hypervolumes[-1] / a.hypervolumes[-1], 4) for a, b in pairs],
        "epochs_share": [round(b.epochs / a.epochs, 3) for a, b in pairs],
    }


def _replayed(rule: Halving, runs: Runs) -> dict[str, Any]:
    """Replay a rule on every study that trained all its trials in full."""
    found = {}
    for arm, seeds in runs.items():
        if arm not in STOPPED:
            rows = [searched.stopped_by(rule) for searched in seeds.values()]
            members, lost = sum(row[0] for row in rows), sum(row[1] for row in rows)
            found[arm] = {
                "front": members,
                "front_lost": lost,
                "epochs_share": round(statistics.fmean(row[2] for row in rows), 3),
                "hypervolume_kept": round(statistics.fmean(row[3] for row in rows), 4),
                "least_epochs_share": round(
                    statistics.fmean(searched.least_epochs for searched in seeds.values()), 3
                ),
            }
    return found


def write_chart(runs: Runs, path: Path, *, title: str) -> None:
    """Draw hypervolume against trials (median and range over seeds) beside the fronts."""
    figure = make_subplots(cols=2, horizontal_spacing=0.09)
    for arm, colour in _COLOURS.items():
        if arm in runs:
            _draw_hypervolume(figure, arm, colour, list(runs[arm].values()))
            _draw_fronts(figure, colour, list(runs[arm].values()))
    figure.update_xaxes(title="trials", row=1, col=1)
    figure.update_yaxes(title="hypervolume", row=1, col=1)
    ratios = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2]
    figure.update_xaxes(title="memory ratio", type="log", tickvals=ratios, row=1, col=2)
    figure.update_yaxes(title="validation accuracy, %", row=1, col=2)
    lay_out(figure, title, "left: median and range over the seeds; right: the front of each seed")
    figure.update_layout(legend={"y": -0.12, "x": 0, "xanchor": "left", "yanchor": "top"})
    write_html(figure, path)


def _draw_hypervolume(figure: go.Figure, arm: str, colour: str, seeds: Sequence[Searched]) -> None:
    shortest = min(len(searched.trials) for searched in seeds)
    volumes = np.array([searched.hypervolumes[:shortest] for searched in seeds])
    numbers = list(range(1, shortest + 1))
    figure.add_scatter(
        x=[*numbers, *reversed(numbers)],
        y=[*volumes.max(axis=0).tolist(), *volumes.min(axis=0)[::-1].tolist()],
        fill="toself",
        fillcolor=colour,
        opacity=0.15,
        line={"width": 0},
        hoverinfo="skip",
        showlegend=False,
        row=1,
        col=1,
    )
    figure.add_scatter(
        x=numbers,
        y=np.median(volumes, axis=0).tolist(),
        name=arm,
        line={"color": colour},
        row=1,
        col=1,
    )


def _draw_fronts(figure: go.Figure, colour: str, seeds: Sequence[Searched]) -> None:
    for searched in seeds:
        best = front(searched.trials, OBJECTIVES)
        figure.add_scatter(
            x=[trial.sizes.memory_ratio for trial in best],
            y=[100 * (trial.accuracy or 0.0) for trial in best],
            mode="lines+markers",
            line={"color": colour, "shape": "hv", "width": 1},
            marker={"size": 4},
            showlegend=False,
            row=1,
            col=2,
        )
