"""The trials that a view leaves of a study: chart, table, download, sentence, cards show them."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from dashboard.pages.study.view import StudyView
from mlgsearch.results.analysis.trial_columns import Rows, TrialColumns
from mlgsearch.results.read.study_results import StudyResults


@dataclass(frozen=True)
class Filtered:
    """Rows of a study's trials at the moment of a replay.

    ``seen`` are all there were then, by number, and ``rows`` those of them that the filters leave.
    ``front`` is the front of that moment, smallest memory ratio first, filtered or not. ``ranged``
    are the rows that the filters leave at the end of a replay: its axes have room for them.
    """

    seen: Rows
    rows: Rows
    front: Rows
    ranged: Rows

    @classmethod
    def of(cls, results: StudyResults, view: StudyView) -> Self:
        """Look at a study in a view."""
        columns = results.columns
        seen = view.seen(columns)
        front = seen[columns_at(columns, seen).front_rows(results.record.objectives)]
        kept = view.kept(columns)
        if view.is_front_only:
            kept &= np.isin(np.arange(len(columns)), front)
        return cls(seen, seen[kept[seen]], front, np.flatnonzero(kept))

    @property
    def shown_front(self) -> Rows:
        """The rows of the front that the filters leave, smallest memory ratio first."""
        return self.front[np.isin(self.front, self.rows)]

    def selected(self, columns: TrialColumns, view: StudyView) -> list[int]:
        """Return the numbers of the selected trials that are left, in the order of selection."""
        numbers: list[int] = columns.number[columns.rows_of(view.selected)].tolist()
        left = set(columns.number[self.rows].tolist())
        return [number for number in numbers if number in left]


def columns_at(columns: TrialColumns, rows: Rows) -> TrialColumns:
    """Return the columns of some rows, by number; those of all rows are the very same."""
    return columns if len(rows) == len(columns) else columns.at(rows)
