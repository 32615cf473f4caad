"""How a study is looked at: the axis, the filters, the replay, the selection."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from dashboard.charts.axes.size_axis import DEFAULT_AXIS, SIZE_AXES, SizeAxis
from dashboard.pages.study.limit import limit_of
from dashboard.query import Query
from mlgsearch.records import TrialState
from mlgsearch.results.analysis.choice import Limit
from mlgsearch.results.analysis.trial_columns import Rows, TrialColumns

#: Parameters of the page's address.
AXIS, HIDE, ONLY, UNTIL, SELECTED, ZOOM = ("size", "hide", "only", "until", "trials", "zoom")
#: The scale of accuracies, and what trials are coloured by.
SCALE, COLOUR = "accuracy", "colour"
#: Further columns of the table, and the trial it is opened at.
COLUMNS, FIND = "columns", "find"
#: The value of ``SCALE`` for percents; else, where a teacher is known, points below it.
PERCENT = "percent"
#: How a hyperparameter begins as a value of ``AXIS`` or ``COLOUR``; its name follows.
HYPERPARAMETER = "h."
#: How a group of layers begins as a value of ``COLUMNS``; its name follows.
LAYERS = "l."
#: Which chart is drawn; with this value the parallel coordinates, else the front.
CHART, PARALLEL = "chart", "parallel"
#: Whether the planned front is drawn; with any value it is.
PLANNED = "planned"
ACCURACY = ("accuracy-from", "accuracy-to")
RATIO = ("ratio-from", "ratio-to")

#: The value of ``ONLY`` that leaves the front alone.
FRONT = "front"

#: So many trials can be distinguished by colour and dash.
MOST_SELECTED = 12

#: A range that is open at both ends.
_ANY = (-math.inf, math.inf)


@dataclass(frozen=True)
class StudyView:
    """What the address asks to be shown.

    ``accuracy`` (in percent) and ``ratio`` (memory ratio) bound the trials shown, both ends
    included, infinite where open; a trial without an accuracy lies in no part of them.
    ``until`` is how many trials had finished at the moment of a replay, None for the present.
    ``limit`` is what a student is chosen by, ``zoom`` as `charts.zoom.read_zoom` reads it.
    ``hyperparameter`` names one that is to the right in place of ``axis``, and ``colour`` a
    hyperparameter (after ``HYPERPARAMETER``) or an objective. The table is opened at ``found``.
    Trials are drawn as lines of parallel coordinates where it ``is_parallel``.
    """

    axis: SizeAxis = SIZE_AXES[DEFAULT_AXIS]
    hidden: frozenset[TrialState] = frozenset()
    is_front_only: bool = False
    accuracy: tuple[float, float] = _ANY
    ratio: tuple[float, float] = _ANY
    until: int | None = None
    selected: tuple[int, ...] = ()
    zoom: str = ""
    limit: Limit | None = None
    is_plan_drawn: bool = False
    hyperparameter: str = ""
    is_in_percent: bool = False
    colour: str = ""
    found: int | None = None
    is_parallel: bool = False

    @classmethod
    def of(cls, query: Query) -> Self:
        """Read the address; what it asks for by a wrong word is as if it were not there."""
        return cls(
            axis=axis_of(query),
            hidden=frozenset(state for state in TrialState if state in query.all(HIDE)),
            is_front_only=query.one(ONLY) == FRONT,
            accuracy=_range(query, ACCURACY),
            ratio=_range(query, RATIO),
            until=query.integer(UNTIL),
            selected=_selected(query),
            zoom=query.one(ZOOM),
            limit=limit_of(query),
            is_plan_drawn=query.one(PLANNED) != "",
            hyperparameter=_hyperparameter(query.one(AXIS)),
            is_in_percent=query.one(SCALE) == PERCENT,
            colour=query.one(COLOUR),
            found=query.integer(FIND),
            is_parallel=query.one(CHART) == PARALLEL,
        )

    @property
    def filters(self) -> Self:
        """The view's filters and replay alone: what decides which trials are left."""
        return type(self)(
            hidden=self.hidden,
            is_front_only=self.is_front_only,
            accuracy=self.accuracy,
            ratio=self.ratio,
            until=self.until,
        )

    def seen(self, columns: TrialColumns) -> Rows:
        """Return the rows of the trials there are at the moment of the replay, by number.

        In the past only finished trials are seen: what ran then is not known any more.
        """
        order = columns.finished_rows
        if self.until is None or self.until >= len(order):
            return np.arange(len(columns))
        return np.sort(order[: self.until])

    def kept(self, columns: TrialColumns) -> NDArray[np.bool_]:
        """Return which trials the filters leave, shape (n,); ``is_front_only`` is no part of it."""
        kept = ~columns.is_in(*self.hidden)
        if self.accuracy != _ANY:
            kept &= _within(100 * columns.accuracy, self.accuracy)
        if self.ratio != _ANY:
            kept &= _within(columns.memory_ratio, self.ratio)
        return kept


def axis_of(query: Query) -> SizeAxis:
    """Return the axis of size that the address asks for."""
    return SIZE_AXES[query.choice(AXIS, SIZE_AXES, DEFAULT_AXIS)]


def last_moment(columns: TrialColumns) -> int:
    """Return how many trials have finished: the right end of a replay."""
    return len(columns.finished_rows)


def _hyperparameter(text: str) -> str:
    return text.removeprefix(HYPERPARAMETER) if text.startswith(HYPERPARAMETER) else ""


def _selected(query: Query) -> tuple[int, ...]:
    """Read numbers of trials; of too many the last, which were added last."""
    numbers = (Query({SELECTED: [text]}).integer(SELECTED) for text in query.all(SELECTED))
    return tuple(dict.fromkeys(n for n in numbers if n is not None))[-MOST_SELECTED:]


def _range(query: Query, names: tuple[str, str]) -> tuple[float, float]:
    low, high = names
    return query.number(low, -math.inf), query.number(high, math.inf)


def _within(values: NDArray[np.float64], bounds: tuple[float, float]) -> NDArray[np.bool_]:
    # The value of an input was rounded for reading: a hair outside is inside.
    low, high = (bound * (1 + sign * 1e-9) for bound, sign in zip(bounds, (-1, 1), strict=True))
    return (values >= low) & (values <= high)
