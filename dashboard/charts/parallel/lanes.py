"""The axes of parallel coordinates, which are upright and side by side: a lane each."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Self

import numpy as np

from dashboard.charts.axes.accuracy_scale import AccuracyScale
from dashboard.parts.sketch import round_values
from dashboard.theme import text
from mlgsearch.results.analysis.effects.hyperparameters import is_wide
from mlgsearch.results.analysis.trial_columns import Floats, Rows
from mlgsearch.results.charts.axis import log_ticks

#: A lane has room for so many ticks, and its title for so many letters in a line.
_MOST_TICKS = 6
LINE = 11


@dataclass(frozen=True, eq=False)
class Lane:
    """One axis.

    ``places`` (n,) says how high each trial of the study is placed, from 0 at the foot to 1 at the
    top; NaN where it is not known. ``ticks`` are places with what is written there, and ``write``
    says what a trial has, by its row.
    """

    title: str
    places: Floats
    ticks: Mapping[float, str]
    write: Callable[[int], str]

    @classmethod
    def of_numbers(
        cls,
        title: str,
        values: Floats,
        rows: Rows,
        write: Callable[[float], str],
        *,
        is_size: bool = False,
    ) -> Self | None:
        """Return the lane of numbers, shape (n,): by their logarithms where wide, or sizes.

        It reaches from the least to the most of those in ``rows``; None where these do not differ.
        """
        known = np.unique(values[rows][np.isfinite(values[rows])])
        if len(known) < 2:
            return None
        low, high = float(known[0]), float(known[-1])
        is_log = (is_size and low > 0) or is_wide(known)
        is_few = len(known) <= _MOST_TICKS
        heights = np.log10(np.where(values > 0, values, np.nan)) if is_log else values
        span = (math.log10(low), math.log10(high)) if is_log else (low, high)
        ticks = {
            (math.log10(tick) if is_log else tick): write(tick)
            for tick in (known.tolist() if is_few else _ticks(low, high, is_log=is_log))
        }
        return cls(title, *_placed(heights, span, ticks), lambda row: write(values[row]))

    @classmethod
    def of_words(cls, title: str, values: Sequence[object], rows: Rows) -> Self | None:
        """Return the lane of words, the first in the alphabet on top; None of one, or of many."""
        words = ["" if value is None else str(value) for value in values]
        names = sorted({words[row] for row in rows.tolist()} - {""}, reverse=True)
        if not 1 < len(names) <= _MOST_TICKS:
            return None
        heights = {name: float(place) for place, name in enumerate(names)}
        found = np.array([heights.get(word, np.nan) for word in words])
        ticks = {place: name for name, place in heights.items()}
        return cls(title, *_placed(found, (0.0, len(names) - 1.0), ticks), words.__getitem__)

    @classmethod
    def of_accuracies(cls, percents: Floats, rows: Rows, scale: AccuracyScale) -> Self | None:
        """Return the lane of accuracies in percent, shape (n,), as ``scale`` has them.

        None where they do not differ in ``rows``.
        """
        heights = scale.heights(percents)
        known = heights[rows][np.isfinite(heights[rows])]
        if not len(known) or not np.ptp(known):
            return None
        low, high = float(known.min()), float(known.max())
        title = "points below the teacher" if scale.is_log else "accuracy"
        if scale.is_log:
            axis = scale.seen(low, high, title)
            ticks = dict(zip(axis["tickvals"], axis["ticktext"], strict=True))
        else:
            ticks = {tick: f"{tick:g} %" for tick in round_values(low, high, most=_MOST_TICKS)}
        placed = _placed(heights, (low, high), ticks)
        return cls(title, *placed, lambda row: f"{percents[row]:.2f} %")

    @property
    def heading(self) -> str:
        """The title in lines, as plotly has them."""
        return "<br>".join(text(line) for line in wrap(self.title, LINE))


def _placed(
    heights: Floats, span: tuple[float, float], ticks: Mapping[float, str]
) -> tuple[Floats, dict[float, str]]:
    """Return where heights and ticks lie between the ends of a span."""
    low, high = span

    def place(height: Floats) -> Floats:
        found = (height - low) / (high - low)
        return np.where((found >= -1e-9) & (found <= 1 + 1e-9), found, np.nan)

    return place(heights), {
        float(at): words
        for at, words in zip(place(np.array([*ticks])), ticks.values(), strict=True)
        if np.isfinite(at)
    }


def _ticks(low: float, high: float, *, is_log: bool) -> list[float]:
    """Return some round values of a lane."""
    ticks = log_ticks(math.log10(low), math.log10(high)) if is_log else []
    if len(ticks) > _MOST_TICKS:
        ticks = [tick for tick in ticks if math.log10(tick).is_integer()]
    return ticks if len(ticks) > 1 else round_values(low, high, most=_MOST_TICKS)
