"""One row per study: how far it is, what it reached, who drives it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import Connection, Engine, RowMapping, func, select

from mlgsearch.records import OBJECTIVES, LeaseRecord, TrialState
from mlgsearch.results.analysis.reached import Reached
from mlgsearch.results.database.tables import study_table, trial_table
from mlgsearch.results.read.driving import Driving, drivers
from mlgsearch.results.read.read_lock import ReadLock


@dataclass(frozen=True)
class StudyRow:
    """A study at a glance.

    ``reached`` is what its trials come to. ``last_activity`` is the last write to the study, its
    trials or their epochs, and ``lease`` that of the driver that holds the study now, or None, both
    by the database's clock; ``time_left_s`` is what it will need, None without a driver or where
    fewer than two trials have ended since it began. ``ended`` says why the search ended before its
    total.
    """

    name: str
    model: str
    data: str
    space: str
    objectives: tuple[str, ...]
    reached: Reached
    n_trials: int
    teacher_accuracy: float | None
    created_at: datetime
    last_activity: datetime
    lease: LeaseRecord | None
    time_left_s: float | None
    ended: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do: all trials have ended, or the search by its rule."""
        return self.ended is not None or self.reached.finished >= self.n_trials

    @property
    def process(self) -> str | None:
        """``host:pid`` of the driver that holds the study now, or None."""
        return None if self.lease is None else f"{self.lease.host}:{self.lease.pid}"

    @property
    def driver(self) -> str | None:
        """Who drives the study now, as ``user@host:pid``, or None."""
        return None if self.lease is None else f"{self.lease.holder}@{self.process}"

    @property
    def running(self) -> int:
        """How many trials are trained now."""
        return self.reached.counts[TrialState.RUNNING] if self.lease else 0

    @property
    def queued(self) -> int:
        """How many trials wait; what ran when its driver went away waits for the next one."""
        counts = self.reached.counts
        return counts[TrialState.WAITING] + counts[TrialState.RUNNING] - self.running


def study_fields(row: StudyRow) -> dict[str, Any]:
    """Return a study as an object that JSON can hold."""
    reached = row.reached
    return {
        "study": row.name,
        "n_trials": row.n_trials,
        "states": {state.value: count for state, count in reached.counts.items()},
        "hypervolume": reached.hypervolume,
        "driver": row.process,
        "model": row.model,
        "data": row.data,
        "space": row.space,
        "objectives": list(row.objectives),
        "teacher_accuracy": row.teacher_accuracy,
        "best_accuracy": reached.best_accuracy,
        "smallest_memory_ratio": reached.smallest_memory_ratio,
        "time_left_s": row.time_left_s,
        "created_at": row.created_at.isoformat(),
        "last_activity": row.last_activity.isoformat(),
    }


class _Known(NamedTuple):
    """What a study's trials come to, until one of them is written again."""

    written: datetime | None
    reached: Reached


class StudyList:
    """Lists studies again and again; any thread may use it.

    Only studies with trials written since the last call cost more than a look at an index.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = ReadLock()
        self._known: dict[tuple[int, datetime], _Known] = {}

    def rows(self) -> list[StudyRow]:
        """Return all studies, oldest first."""
        with self._lock, self._engine.connect() as connection:
            studies = _studies(connection)
            driven = drivers(connection)
            known = {key: self._known[key] for key in map(_key, studies) if key in self._known}
            stale = [
                study
                for study in studies
                if _key(study) not in known or known[_key(study)].written != study["written"]
            ]
            for study, reached in _reached(connection, stale):
                known[_key(study)] = _Known(study["written"], reached)
            self._known = known
        return [
            _row(study, known[_key(study)].reached, driven.get(study["name"])) for study in studies
        ]


def study_rows(engine: Engine) -> list[StudyRow]:
    """Return all studies, oldest first; who asks often keeps a ``StudyList``."""
    return StudyList(engine).rows()


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
        study_table.c.ended,
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
) -> Iterable[tuple[RowMapping, Reached]]:
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
        yield (
            study,
            Reached.of(
                counts[study["id"]],
                columns.__getitem__,
                study["objectives"],
                study["hypervolume_reference"] or {},
            ),
        )


def _row(study: RowMapping, reached: Reached, driving: Driving | None) -> StudyRow:
    content = study["content"]
    remaining = study["n_trials"] - reached.finished
    return StudyRow(
        name=study["name"],
        model=_word(content, "model", "name"),
        data=_word(content, "data", "name"),
        space=_word(content, "space", "kind"),
        objectives=tuple(study["objectives"]),
        reached=reached,
        n_trials=study["n_trials"],
        teacher_accuracy=study["teacher_accuracy"],
        created_at=study["created_at"],
        last_activity=max(study["updated_at"], study["written"] or study["updated_at"]),
        lease=None if driving is None else driving.lease,
        time_left_s=None if driving is None else driving.time_left_s(remaining),
        ended=study["ended"],
    )


def _word(content: Mapping[str, Any], part: str, key: str) -> str:
    """Read a word of a study's content; one that another version wrote without it stays empty."""
    return str(content.get(part, {}).get(key, ""))
