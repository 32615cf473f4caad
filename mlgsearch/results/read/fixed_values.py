"""Reading again and again what never changes of a trial once it is there: so once each."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar

import numpy as np
from sqlalchemy import Connection, Engine, Select, column, inspect, select, table

from mlgsearch.records import BUDGET_KB, StudyRecord
from mlgsearch.results.analysis.effects.hyperparameters import Hyperparameters
from mlgsearch.results.analysis.layer_groups import LayerGroups, group_names
from mlgsearch.results.analysis.trial_columns import Floats, TrialColumns
from mlgsearch.results.database.lookup import find_study, in_parts
from mlgsearch.results.database.tables import trial_table
from mlgsearch.results.read.read_lock import ReadLock

#: Optuna's own tables, as far as they are read here.
_PARAMETERS = table("trial_params", *map(column, ("trial_id", "param_name", "param_value")))
_TRIALS = table("trials", *map(column, ("trial_id", "study_id", "number")))
_STUDIES = table("studies", *map(column, ("study_id", "study_name")))

Whole = TypeVar("Whole")


class FixedValues(Generic[Whole]):
    """Keeps a value per trial of one study, which never changes; any thread may use it.

    A trial is its number and the moment it was created: where a database was restored to what it
    was before, other trials come to have the numbers of those that went.
    ``query`` selects trials' numbers and what is stored of each, None where nothing is; ``parse``
    turns that into what is kept of it. ``whole`` makes of these, in the order of the study's
    columns and None for a trial that has none, what readers get.
    """

    def __init__(
        self,
        engine: Engine,
        query: Callable[[Connection], Select[Any] | None],
        whole: Callable[[Sequence[Any]], Whole],
        parse: Callable[[Any], Any] = lambda stored: stored,
    ) -> None:
        self._engine = engine
        self._query = query
        self._whole = whole
        self._parse = parse
        self._lock = ReadLock()
        self._known: dict[tuple[int, datetime], Any] = {}
        self._last: tuple[TrialColumns, Whole] | None = None

    def read(self, columns: TrialColumns) -> Whole:
        """Return what is known of the trials of ``columns``; the same object for the same columns.

        Raises:
            StudyNotFoundError: there is no such study.
        """
        with self._lock:
            if self._last is None or self._last[0] is not columns:
                trials = list(
                    zip(columns.number.tolist(), columns.created_at.tolist(), strict=True)
                )
                known = {trial: self._known[trial] for trial in trials if trial in self._known}
                found = self._read([number for number, at in trials if (number, at) not in known])
                known |= {(number, at): found[number] for number, at in trials if number in found}
                self._known = known
                self._last = columns, self._whole(list(map(known.get, trials)))
            return self._last[1]

    def _read(self, numbers: list[int]) -> dict[int, Any]:
        found: dict[int, Any] = {}
        if not numbers:
            return found
        with self._engine.connect() as connection:
            query = self._query(connection)
            if query is None:
                return found
            (number_column, *_) = query.selected_columns
            for part in in_parts(numbers):
                for number, stored in connection.execute(query.where(number_column.in_(part))):
                    found[number] = self._parse(stored)
        return found


def hyperparameter_reader(engine: Engine, study: StudyRecord) -> FixedValues[Hyperparameters]:
    """Return what reads the hyperparameters of a study's trials."""

    def query(connection: Connection) -> Select[Any]:
        return select(trial_table.c.number, trial_table.c.hyperparameters).where(
            trial_table.c.study_id == find_study(connection, study.name)
        )

    return FixedValues(
        engine, query, lambda trials: Hyperparameters.of([trial or {} for trial in trials])
    )


def layer_group_reader(engine: Engine, study: StudyRecord) -> FixedValues[LayerGroups]:
    """Return what reads the bytes that each group of layers takes in a study's trials.

    A study that was last driven by a version that did not keep its layers has no groups.
    """
    of_layer = group_names([layer.name for layer in study.layers])
    groups = {name: place for place, name in enumerate(dict.fromkeys(of_layer))}

    def query(connection: Connection) -> Select[Any]:
        return select(trial_table.c.number, trial_table.c.layer_bits).where(
            trial_table.c.study_id == find_study(connection, study.name)
        )

    def summed(bits: Mapping[str, int] | None) -> Floats:
        found = np.zeros(len(groups))
        for layer, group in zip(study.layers, of_layer, strict=True):
            found[groups[group]] += (bits or {}).get(layer.name, np.nan) / 8
        return found

    def whole(trials: Sequence[Floats | None]) -> LayerGroups:
        unknown = np.full(len(groups), np.nan)
        found = np.array([unknown if trial is None else trial for trial in trials])
        return LayerGroups(tuple(groups), found.reshape(len(trials), len(groups)))

    return FixedValues(engine, query, whole, summed)


def budget_reader(engine: Engine, study: StudyRecord) -> FixedValues[Floats]:
    """Return what reads the budgets of an allocation space's trials in KB, shape (n,), else NaN."""

    def query(connection: Connection) -> Select[Any] | None:
        if not inspect(connection).has_table(_PARAMETERS.name):
            return None
        return (
            select(_TRIALS.c.number, _PARAMETERS.c.param_value)
            .join_from(_PARAMETERS, _TRIALS, _PARAMETERS.c.trial_id == _TRIALS.c.trial_id)
            .join(_STUDIES, _STUDIES.c.study_id == _TRIALS.c.study_id)
            .where(_STUDIES.c.study_name == study.name)
            .where(_PARAMETERS.c.param_name == BUDGET_KB)
        )

    return FixedValues(engine, query, lambda trials: np.array(trials, dtype=np.float64))
