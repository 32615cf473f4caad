"""Reading trials' hyperparameters again and again: those of a trial never change, so once each."""

import threading
from collections.abc import Mapping

from sqlalchemy import Engine, select

from mlgsearch.results.analysis.effects.hyperparameters import Hyperparameters
from mlgsearch.results.analysis.trial_columns import TrialColumns
from mlgsearch.results.database.lookup import find_study
from mlgsearch.results.database.tables import trial_table

#: Numbers a statement may name: SQLite takes 32,766 at most.
_PART = 10_000


class HyperparameterReader:
    """Keeps the hyperparameters of one study's trials; any thread may use it."""

    def __init__(self, engine: Engine, study: str) -> None:
        self._engine = engine
        self._study = study
        self._lock = threading.Lock()
        self._known: dict[int, Mapping[str, object]] = {}
        self._last: tuple[TrialColumns, Hyperparameters] | None = None

    def read(self, columns: TrialColumns) -> Hyperparameters:
        """Return those of the trials of ``columns``; the same object for the same columns.

        Raises:
            StudyNotFoundError: there is no such study.
        """
        with self._lock:
            if self._last is None or self._last[0] is not columns:
                numbers: list[int] = columns.number.tolist()
                self._read([number for number in numbers if number not in self._known])
                found = Hyperparameters.of([self._known.get(number, {}) for number in numbers])
                self._last = columns, found
            return self._last[1]

    def _read(self, numbers: list[int]) -> None:
        if not numbers:
            return
        with self._engine.connect() as connection:
            query = select(trial_table.c.number, trial_table.c.hyperparameters).where(
                trial_table.c.study_id == find_study(connection, self._study)
            )
            for start in range(0, len(numbers), _PART):
                part = numbers[start : start + _PART]
                for number, own in connection.execute(query.where(trial_table.c.number.in_(part))):
                    self._known[number] = own
