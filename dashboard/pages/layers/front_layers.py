"""What the page of layers reads of a study: the front's students, and what each layer gets."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from dashboard.charts.layers.layer_measure import Measure, available
from dashboard.charts.layers.scan_chart import present
from dashboard.database import Database
from dashboard.parts.values.student import Student, students
from dashboard.query import Query
from mlgsearch.records import StudyRecord, TrialState
from mlgsearch.results.analysis.effects.importance import chosen_trials
from mlgsearch.results.analysis.grid_scan import GridScan, grid_scan
from mlgsearch.results.analysis.trial_columns import TrialColumns
from mlgsearch.results.read.layer_grid import NUMBERS, LayerGrid, read_layer_grid
from mlgsearch.results.read.trial_details import settings_of

#: Parameters of the page's address.
COLOUR, TRIAL = "colour", "trial"


@dataclass(frozen=True)
class FrontLayers:
    """The students of a study's front, smallest first, and ``grid`` with a trial for each."""

    study: StudyRecord
    students: Sequence[Student]
    grid: LayerGrid

    @classmethod
    def read(cls, database: Database, name: str) -> "FrontLayers":
        """Read them.

        Raises:
            StudyNotFoundError: there is no such study.
        """
        study = database.store.study(name)
        columns = database.trials(name)
        found = students(columns, columns.front_rows(study.objectives))
        numbers = [student.number for student in found]
        grid = read_layer_grid(database.engine, name, numbers, study.layers)
        there = set(grid.numbers)
        return cls(study, [student for student in found if student.number in there], grid)

    def measure(self, query: Query) -> Measure:
        """Return what colour means in a view, of what the study stores."""
        there = {measure.name: measure for measure in available(self.grid)}
        default = next(iter(there))
        return there[query.choice(COLOUR, there, default)]

    def trial(self, query: Query) -> int:
        """Return the trial whose bytes are shown in a view: one of the front, else its largest."""
        asked = query.integer(TRIAL)
        return asked if asked in self.grid.numbers else self.grid.numbers[-1]

    def cells(self) -> list[dict[str, Any]]:
        """Return all layers of all students as rows of a table, smallest student first."""
        weighed, shares = self.grid.bits_a_weight(), self.grid.share()
        rows = []
        for t, student in enumerate(self.students):
            for i, layer in enumerate(self.grid.layers):
                bits = _known(self.grid.bits[t, i])
                rows.append(
                    {
                        "layer": layer,
                        "trial": student.number,
                        "accuracy": student.accuracy,
                        "memory_ratio": student.memory_ratio,
                        "packed_bytes": student.packed_bytes,
                        **dict(zip(NUMBERS, self.grid.settings[t, i].tolist(), strict=True)),
                        "layer_bytes": None if bits is None else bits / 8,
                        "bits_a_weight": _known(weighed[t, i]),
                        "share": _known(shares[t, i]),
                        "damage": _known(self.grid.damage[t, i]),
                    }
                )
        return rows

    def bytes_of(self, trial: int) -> list[dict[str, Any]]:
        """Return a trial's layers as rows of a table, in the network's order."""
        t = self.grid.numbers.index(trial)
        rows = []
        for i, layer in enumerate(self.grid.layers):
            record = self.grid.records[i] if self.grid.records else None
            bits = _known(self.grid.bits[t, i])
            rows.append(
                {
                    "layer": layer,
                    "kind": record.kind if record else None,
                    "shape": record.shape if record else None,
                    "weights": record.weights if record else None,
                    "plain_bytes": record.plain_bits / 8 if record else None,
                    "layer_bytes": None if bits is None else bits / 8,
                    "times_smaller": record.plain_bits / bits if record and bits else None,
                    "trial": trial,
                }
            )
        return rows


def scan(database: Database, study: StudyRecord) -> GridScan | None:
    """Average a uniform study's trials over its two numbers of bases; None for other studies."""
    if study.section("space").get("kind") != "uniform":
        return None
    return _scan(database, study.name, database.trials(study.name))


@lru_cache(maxsize=8)
def _scan(database: Database, study: str, columns: TrialColumns) -> GridScan:
    """Read the settings once for all who look at the same trials; columns never change."""
    done = columns.number[columns.is_in(TrialState.COMPLETE)]
    settings = settings_of(database.engine, study, chosen_trials(done.tolist()))
    return present(grid_scan(columns, settings))


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
