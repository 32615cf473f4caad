"""Trials as marks of a chart: points, an image of their mass, a rug at its foot."""

from typing import Any

import numpy as np

from dashboard.charts.axes.accuracy_scale import IN_PERCENT, AccuracyScale
from dashboard.charts.axes.size_axis import SizeAxis
from dashboard.charts.density import density
from dashboard.parts.values.expected import expected
from dashboard.theme import Trace
from mlgsearch.records import TrialState
from mlgsearch.results.analysis.trial_columns import NO_TRIAL, STATES, Floats, Rows, TrialColumns
from mlgsearch.results.analysis.uncertainty.expectation import Expectations
from mlgsearch.words import TIMES

#: More trials of a kind than these are drawn as an image: each mark is an element of the page.
MOST_MARKS = 300

#: A rug has at most so many marks over the width of the chart, and lies so high in it.
RUG_CELLS = 80
_RUG_HEIGHT = 0.02

_PRUNED = STATES.index(TrialState.PRUNED)


class TrialMarks:
    """Draws rows of a study's trials: accuracy upwards on a scale, a size to the right.

    A mark carries its trial's number as ``customdata``, a list of one; what represents several
    trials, a cell of an image or a mark of a full rug, carries none.
    """

    def __init__(
        self,
        columns: TrialColumns,
        axis: SizeAxis,
        expectations: Expectations | None = None,
        scale: AccuracyScale = IN_PERCENT,
    ) -> None:
        self.columns = columns
        self.axis = axis
        self._expectations = expectations
        self._scale = scale
        self.x: Floats = axis.values(columns)  # (n,)
        self.y: Floats = scale.heights(100 * columns.accuracy)  # (n,)

    def drawable(self, rows: Rows) -> Rows:
        """Return those of the rows that have both an accuracy and a size."""
        return rows[np.isfinite(self.x[rows]) & np.isfinite(self.y[rows])]

    def points(
        self, rows: Rows, name: str, marker: dict[str, Any], *, heading: str = "", **more: Any
    ) -> Trace:
        """Draw a mark per trial; ``rows`` are drawable, ``heading`` a first line of the hover."""
        return {
            "type": "scatter",
            "x": short(self.x[rows]),
            "y": short(self.y[rows]),
            "customdata": [[number] for number in self.columns.number[rows].tolist()],
            "text": [self._note(row) for row in rows],
            "hovertext": [self._accuracy(row) + self._expected(row) for row in rows],
            "hovertemplate": (
                f"{heading and f'{heading}<br>'}<b>trial %{{customdata[0]}}</b>%{{text}}<br>"
                f"accuracy: {'' if self._scale.is_log else '%{y:.2f} %'}%{{hovertext}}<br>"
                f"{self._size_line}<extra></extra>"
            ),
            "mode": "markers",
            "marker": marker,
            "name": name,
            "showlegend": len(rows) > 0,
            **more,
        }

    def mass(
        self, rows: Rows, name: str, marker: dict[str, Any], colours: tuple[str, str]
    ) -> Trace:
        """Draw a mark per trial, or an image where they are many; ``rows`` are drawable.

        ``colours`` are the image's, from few trials to many.
        """
        if len(rows) <= MOST_MARKS:
            return self.points(rows, name, marker)
        x, y = self.x[rows], self.y[rows]
        return density(x, y, colours=colours, name=name, is_log_x=self.axis.shown.is_log10)

    def rug(self, rows: Rows, name: str, what: str, marker: dict[str, Any]) -> Trace:
        """Draw trials by their size alone, along the foot, on the axis ``y2`` from 0 to 1.

        Where they are too many to distinguish, a mark represents all within a cell. ``what`` says
        in the hover what is the matter with them.
        """
        rows = rows[np.isfinite(self.x[rows])]
        groups = [rows[group] for group in self._cells(self.x[rows])]
        numbers = self.columns.number
        return {
            "type": "scatter",
            "x": short(np.array([self.x[group[0]] for group in groups])),
            "y": [_RUG_HEIGHT] * len(groups),
            "yaxis": "y2",
            "customdata": [[int(numbers[group[0]])] if len(group) == 1 else [] for group in groups],
            "text": [
                f"trial {numbers[group[0]]}" if len(group) == 1 else f"{len(group)} trials"
                for group in groups
            ],
            "hovertemplate": f"<b>%{{text}}</b>, {what}<br>{self._size_line}<extra></extra>",
            "mode": "markers",
            "marker": marker,
            "name": name,
            "showlegend": len(rows) > 0,
        }

    @property
    def _size_line(self) -> str:
        return f"{self.axis.shown.label}: %{{x:{self.axis.d3}}}"

    def _note(self, row: int) -> str:
        columns = self.columns
        notes = []
        if columns.state[row] == _PRUNED:
            done, wanted = columns.epochs_done[row], columns.epochs_wanted[row]
            notes.append(f", stopped after epoch {done} of {wanted}")
        if columns.reused_from[row] != NO_TRIAL:
            notes.append(f"<br>same training as trial {columns.reused_from[row]}")
        if self.axis.is_ratio:
            notes.append(f"<br>{TIMES}{1 / self.x[row]:.1f} smaller")
        return "".join(notes)

    def _accuracy(self, row: int) -> str:
        """Write the accuracy where its height does not say it."""
        return f"{100 * self.columns.accuracy[row]:.2f} %" if self._scale.is_log else ""

    def _expected(self, row: int) -> str:
        if self._expectations is None:
            return ""
        found = self._expectations.find(int(self.columns.number[row]))
        return "" if found is None else f"<br>expected: {expected(found)}"

    def _cells(self, x: Floats) -> list[Rows]:
        """Put positions, shape (k,), into groups that share a cell of a rug; few stay alone."""
        if len(x) <= RUG_CELLS:
            return [np.array([i]) for i in range(len(x))]
        places = np.log10(x) if self.axis.shown.is_log10 else x
        low, width = places.min(), places.max() - places.min()
        cells = ((places - low) / (width or 1.0) * (RUG_CELLS - 1)).astype(np.int64)
        order = np.argsort(cells, kind="stable")
        return np.split(order, np.flatnonzero(np.diff(cells[order])) + 1)


def short(values: Floats) -> list[float]:
    """Return values to six digits: more is not to be seen, and has to be sent."""
    return [float(f"{value:.6g}") for value in values]
