"""One row a study: how far it is, what it reached, who drives it."""

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine, RowMapping, func, select

from mlgsearch.records import OBJECTIVES, LeaseRecord, TrialState
from mlgsearch.results.analysis.front import dominated_volume
from mlgsearch.results.database.lease import held
from mlgsearch.results.database.tables import study_table, trial_table

#: How many of the last trials' ends a driver's pace is taken from.
_PACE_OF = 64


@dataclass(frozen=True)
class StudyRow:
    """A study at a glance.

    ``counts`` has every state, if only with 0. ``best_accuracy`` (a fraction) and
    ``smallest_memory_ratio`` are of COMPLETE trials, None without any; ``hypervolume`` is of the
    study's objectives. ``last_activity`` is the last write to the study, its trials or their
    epochs, and ``lease`` that of the driver that holds the study now, or None, both by the
    database's clock; ``time_left_s`` is what it will need, None where nobody drives or
    fewer than two trials have ended since it began.
    """

    name: str
    model: str
    data: str
    space: str
    objectives: tuple[str, ...]
    counts: Mapping[TrialState, int]
    n_trials: int
    teacher_accuracy: float | None
    best_accuracy: float | None
    smallest_memory_ratio: float | None
    hypervolume: float
    created_at: datetime
    last_activity: datetime
    lease: LeaseRecord | None
    time_left_s: float | None

    @property
    def finished(self) -> int:
        """How many trials have ended, whatever their state."""
        return sum(count for state, count in self.counts.items() if state.is_finished)

    @property
    def driver(self) -> str | None:
        """``host:pid`` of the driver that holds the study now, or None."""
        return None if self.lease is None else f"{self.lease.host}:{self.lease.pid}"


@dataclass(frozen=True)
class _Reached:
    """What a study's trials come to, until one of them is written again."""

    written: datetime | None
    counts: Mapping[TrialState, int]
    best_accuracy: float | None
    smallest_memory_ratio: float | None
    hypervolume: float


class StudyList:
    """Lists studies again and again; any thread may use it.

    Only studies with trials written since the last call cost more than a look at an index.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._known: dict[tuple[int, datetime], _Reached] = {}

    def rows(self) -> list[StudyRow]:
        """Return all studies, oldest first."""
        with self._lock, self._engine.connect() as connection:
            studies = _studies(connection)
            leases = held(connection)
            known = {key: self._known[key] for key in map(_key, studies) if key in self._known}
            stale = [
                study
                for study in studies
                if _key(study) not in known or known[_key(study)].written != study["written"]
            ]
            for study, reached in _reached(connection, stale):
                known[_key(study)] = reached
            self._known = known
            ends = {name: _ends(connection, lease) for name, lease in leases.items()}
        return [
            _row(study, known[_key(study)], leases.get(study["name"]), ends.get(study["name"], ()))
            for study in studies
        ]


def study_rows(engine: Engine) -> list[StudyRow]:
    """Return all studies, oldest first; who asks often keeps a ``StudyList``."""
    return StudyList(engine).rows()


def time_left_s(ends: Sequence[datetime], remaining: int) -> float | None:
    """Extrapolate from the moments at which the last trials ended, in seconds.

    None where fewer than two have: a pace needs two. Trials that run side by side are in the pace.
    """
    if remaining <= 0:
        return 0.0
    if len(ends) < 2:
        return None
    return remaining * (max(ends) - min(ends)).total_seconds() / (len(ends) - 1)


def _studies(connection: Connection) -> Sequence[RowMapping]:
    # Answered by the index on (study_id, updated_at, id), whatever the number of trials.
    written = (
        select(func.max(trial_table.c.updated_at))
        .where(trial_table.c.study_id == study_table.c.id)
        .scalar_subquery()
    )
    query = select(
        study_table.c.id,
        study_table.c.name,
        study_table.c.content,
        study_table.c.objectives,
        study_table.c.n_trials,
        study_table.c.teacher_accuracy,
        study_table.c.created_at,
        study_table.c.updated_at,
        study_table.c.hypervolume_reference,
        written.label("written"),
    )
    return connection.execute(query.order_by(study_table.c.id)).mappings().all()


def _key(study: RowMapping) -> tuple[int, datetime]:
    return study["id"], study["created_at"]


def _reached(
    connection: Connection, studies: Collection[RowMapping]
) -> Iterable[tuple[RowMapping, _Reached]]:
    ids = [study["id"] for study in studies]
    if not ids:
        return
    counts: dict[int, dict[TrialState, int]] = {i: dict.fromkeys(TrialState, 0) for i in ids}
    for study_id, state, count in connection.execute(
        select(trial_table.c.study_id, trial_table.c.state, func.count())
        .where(trial_table.c.study_id.in_(ids))
        .group_by(trial_table.c.study_id, trial_table.c.state)
    ):
        counts[study_id][TrialState(state)] = count
    names = list(OBJECTIVES)
    values: dict[int, list[Any]] = {study_id: [] for study_id in ids}
    for study_id, *row in connection.execute(
        select(trial_table.c.study_id, *(trial_table.c[name] for name in names))
        .where(trial_table.c.study_id.in_(ids))
        .where(trial_table.c.state == TrialState.COMPLETE.value)
    ):
        values[study_id].append(row)
    for study in studies:
        found = np.array(values[study["id"]], dtype=np.float64).reshape(-1, len(names))
        columns = dict(zip(names, found.T, strict=True))
        objectives = study["objectives"]
        yield (
            study,
            _Reached(
                study["written"],
                counts[study["id"]],
                max(_finite(columns["accuracy"]), default=None),
                min(_finite(columns["memory_ratio"]), default=None),
                dominated_volume(
                    np.column_stack([columns[name] for name in objectives]),
                    objectives,
                    study["hypervolume_reference"] or {},
                ),
            ),
        )


def _finite(values: NDArray[np.float64]) -> list[float]:
    found: list[float] = values[np.isfinite(values)].tolist()
    return found


def _ends(connection: Connection, lease: LeaseRecord) -> list[datetime]:
    """Return when the last trials ended under this driver."""
    rows = connection.execute(
        select(trial_table.c.finished_at)
        .join(study_table)
        .where(study_table.c.name == lease.study)
        # Indexed, and never before the end.
        .where(trial_table.c.updated_at >= lease.acquired_at)
        .where(trial_table.c.finished_at >= lease.acquired_at)
        .order_by(trial_table.c.updated_at.desc())
        .limit(_PACE_OF)
    )
    return list(rows.scalars())


def _row(
    study: RowMapping, reached: _Reached, lease: LeaseRecord | None, ends: Sequence[datetime]
) -> StudyRow:
    content = study["content"]
    finished = sum(n for state, n in reached.counts.items() if state.is_finished)
    return StudyRow(
        name=study["name"],
        model=_word(content, "model", "name"),
        data=_word(content, "data", "name"),
        space=_word(content, "space", "kind"),
        objectives=tuple(study["objectives"]),
        counts=reached.counts,
        n_trials=study["n_trials"],
        teacher_accuracy=study["teacher_accuracy"],
        best_accuracy=reached.best_accuracy,
        smallest_memory_ratio=reached.smallest_memory_ratio,
        hypervolume=reached.hypervolume,
        created_at=study["created_at"],
        last_activity=max(study["updated_at"], reached.written or study["updated_at"]),
        lease=lease,
        time_left_s=None if lease is None else time_left_s(ends, study["n_trials"] - finished),
    )


def _word(content: Mapping[str, Any], part: str, key: str) -> str:
    """Read a word of a study's content; one that another version wrote without it stays empty."""
    return str(content.get(part, {}).get(key, ""))
