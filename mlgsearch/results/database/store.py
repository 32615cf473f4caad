"""The store of results: studies, trials and epochs as the database holds them."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from mlgsearch.errors import StudyConflictError, UserError
from mlgsearch.records import (
    EpochRecord,
    LayerRecord,
    LeaseRecord,
    PlannedStudent,
    StudyRecord,
    TrialRecord,
    TrialState,
)
from mlgsearch.results.database.clock import database_now
from mlgsearch.results.database.connection.engine import writing
from mlgsearch.results.database.fence import Fence
from mlgsearch.results.database.lookup import find_study, find_trial, no_study
from mlgsearch.results.database.rows import (
    epoch_record,
    epoch_row,
    layer_rows,
    planned_rows,
    study_record,
    study_row,
    trial_record,
    trial_row,
)
from mlgsearch.results.database.tables import epoch_table, lease_table, study_table, trial_table
from mlgsearch.results.database.upsert import upsert

_NAME_LENGTH = 128
#: Rows that are read ahead where they are wanted one by one.
_READ_AHEAD = 100


class ResultStore:
    """Reads and writes the results of studies.

    The contract, the same on every database:

    - Only the driver that holds a study's lease writes to it, from one thread; workers hand it
      their results. Every write looks at the lease inside its transaction, and a driver whose
      lease went to another gets LeaseLostError. A store without a lease writes to studies without
      a driver. Any process may read, at any time, from an engine opened read-only.
    - Each method is one transaction: a reader sees all of it or nothing, and after the method has
      returned it survives the end of the process.
    - Writing is idempotent: a trial is named by (study, number), an epoch by (study, number,
      epoch); a second put replaces the first and says nothing.
    - A put gives ``created_at`` and, with a finished state, ``finished_at`` the present moment
      where the record leaves them None; a later None keeps them. Moments are by the database's
      clock. Each change of a trial or its epochs moves the trial's ``updated_at`` past all others
      of the study, also where that clock was set back, so a reader finds what is new by
      (updated_at, id).
    - An unknown study raises StudyNotFoundError, an unknown trial TrialNotFoundError; the
      database's own troubles are SQLAlchemy's ``DBAPIError``.
    - Values that are not finite are stored as missing: an epoch's metric, a projection error or a
      stage's seconds comes back as NaN, a trial's accuracy or loss as None.

    The engine comes from ``open_engine``, the schema from ``migrate.upgrade``.
    """

    def __init__(self, engine: Engine, lease: LeaseRecord | None = None) -> None:
        self._engine = engine
        self._fence = Fence(lease)
        self._last_moment = datetime.min.replace(tzinfo=UTC)
        self._caught_up: set[int] = set()  # studies whose moments _last_moment is not behind

    def create_study(self, record: StudyRecord) -> None:
        """Add a study; one of that name with the same content hash is left as it is.

        Raises:
            UserError: the name is not 1 to 128 printable characters, or has spaces around it.
            StudyConflictError: a study of that name has other content.
        """
        _check_name(record.name)
        try:
            with writing(self._engine) as connection:
                now = self._now(connection)
                row = study_row(record) | {
                    "created_at": record.created_at or now,
                    "updated_at": now,
                }
                connection.execute(insert(study_table).values(row))
                study_id = find_study(connection, record.name)
                connection.execute(insert(lease_table).values(_nobody(study_id)))
        except IntegrityError:
            there = self.study(record.name)
            if there.content_hash != record.content_hash:
                raise StudyConflictError(
                    f"a study {record.name!r} with different content exists "
                    f"(created {there.created_at:%Y-%m-%d %H:%M} UTC); "
                    "give the new one another name, or delete the old one"
                ) from None

    def study(self, name: str) -> StudyRecord:
        """Return one study.

        Raises:
            StudyNotFoundError: there is none; the message names the nearest that exist.
        """
        with self._engine.connect() as connection:
            rows = connection.execute(select(study_table).where(study_table.c.name == name))
            row = rows.mappings().first()
            if row is None:
                raise no_study(connection, name)
            return study_record(row)

    def studies(self) -> list[StudyRecord]:
        """Return all studies, oldest first."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(study_table).order_by(study_table.c.id))
            return [study_record(row) for row in rows.mappings()]

    def begin_run(
        self,
        name: str,
        *,
        content: Mapping[str, object],
        n_trials: int,
        data_hash: str,
        validation_samples: int | None,
        teacher_hash: str,
        teacher_accuracy: float,
    ) -> None:
        """Record what a driver runs the study with, all or nothing; it has not ended any more.

        Args:
            name: of the study.
            content: the resources and the total of trials may differ from what is stored, but
                nothing else: the content's hash stays.
            n_trials: how many trials the study shall have in total.
            data_hash: of images and split.
            validation_samples: the images of the validation part.
            teacher_hash: of the teacher's weights.
            teacher_accuracy: on the validation part, a fraction.

        Raises:
            UserError: the study shall have no trial.
        """
        if n_trials < 1:
            raise UserError(f"n_trials is {n_trials}: it must be at least 1")
        self._update_study(
            name,
            content=dict(content),
            n_trials=n_trials,
            data_hash=data_hash,
            validation_samples=validation_samples,
            teacher_hash=teacher_hash,
            teacher_accuracy=teacher_accuracy,
            ended=None,
        )

    def set_ended(self, name: str, n_trials: int, reason: str) -> None:
        """Record that the study is finished with ``n_trials`` trials, and why."""
        self._update_study(name, n_trials=n_trials, ended=reason)

    def set_data(self, name: str, data_hash: str, validation_samples: int | None) -> None:
        """Record the study's data: the hash of images and split, the validation part's images."""
        self._update_study(name, data_hash=data_hash, validation_samples=validation_samples)

    def accept_change(
        self,
        name: str,
        changes: Sequence[str],
        *,
        content: Mapping[str, object],
        content_hash: str,
        source: str,
        versions: Mapping[str, str],
    ) -> None:
        """Record that a study goes on though something differs, and what its trials so far were.

        The teacher and the data are set by `begin_run`; the teacher's accuracy on the test part is
        not known any more.
        """
        with writing(self._engine) as connection:
            study_id = self._fence.check(connection, name)
            lineage = connection.execute(
                select(study_table.c.lineage).where(study_table.c.id == study_id)
            ).scalar_one()
            trials = connection.execute(
                select(func.count()).where(trial_table.c.study_id == study_id)
            ).scalar_one()
            at = self._moment(connection, study_id).isoformat()
            change = {"at": at, "trials": trials, "changes": list(changes)}
            self._write_study(
                connection,
                study_id,
                content=dict(content),
                content_hash=content_hash,
                source=source,
                versions=dict(versions),
                teacher_test_accuracy=None,
                lineage=[*(lineage or ()), change],
            )

    def set_network(
        self,
        name: str,
        layers: Iterable[LayerRecord],
        planned: Iterable[PlannedStudent],
        uncompressed: str | None = None,
    ) -> None:
        """Record the network: its layers, the predicted front, and what nothing compresses."""
        self._update_study(
            name,
            layers=layer_rows(layers),
            planned=planned_rows(planned),
            uncompressed=uncompressed,
        )

    def set_teacher_test_accuracy(self, name: str, accuracy: float) -> None:
        """Record the teacher's accuracy on the test part, a fraction."""
        self._update_study(name, teacher_test_accuracy=accuracy)

    def delete_study(self, name: str) -> None:
        """Delete a study with its trials, epochs, verifications and lease."""
        with writing(self._engine) as connection:
            study_id = self._fence.check(connection, name)
            connection.execute(delete(study_table).where(study_table.c.id == study_id))

    def check_lease(self, study: str) -> None:
        """Make sure that the study can be written: the database takes writes, the lease is ours.

        Raises:
            LeaseLostError: another driver took it.
        """
        with writing(self._engine) as connection:
            self._fence.check(connection, study)

    def put_trial(
        self, study: str, record: TrialRecord, epochs: Sequence[EpochRecord] = ()
    ) -> TrialRecord:
        """Write a trial and epochs of it together, or replace what is known of them.

        Returns:
            The record, with the moments that it was given.

        Raises:
            ValueError: it is COMPLETE without finite accuracy and loss, a time has no zone, or a
                hyperparameter is not finite.
        """
        with writing(self._engine) as connection:
            study_id = self._fence.check(connection, study)
            now = self._moment(connection, study_id)
            kept = []
            if record.state.is_finished and record.finished_at is None:
                record = replace(record, finished_at=now)
                kept.append("finished_at")
            if record.created_at is None:
                record = replace(record, created_at=now)
                kept.append("created_at")
            row = trial_row(record) | {"updated_at": now}
            changed = [name for name in row if name != "number" and name not in kept]
            connection.execute(
                upsert(
                    connection.dialect.name,
                    trial_table,
                    ("study_id", "number"),
                    changed,
                    row | {"study_id": study_id},
                    keep_if_set=kept,
                )
            )
            if epochs:
                trial_id = find_trial(connection, study, record.number)
                _write_epochs(connection, trial_id, epochs)
        return record

    def trials(self, study: str) -> list[TrialRecord]:
        """Return the study's trials by number."""
        return list(self.each_trial(study))

    def each_trial(self, study: str) -> Iterator[TrialRecord]:
        """Yield the study's trials by number; few are read ahead."""
        with self._engine.connect() as connection:
            study_id = find_study(connection, study)
            query = select(trial_table).where(trial_table.c.study_id == study_id)
            query = query.order_by(trial_table.c.number)
            rows = connection.execution_options(yield_per=_READ_AHEAD).execute(query)
            for row in rows.mappings():
                yield trial_record(row)

    def trial(self, study: str, number: int) -> TrialRecord:
        """Return one trial.

        Raises:
            TrialNotFoundError: there is none; the message says which numbers exist.
        """
        with self._engine.connect() as connection:
            trial_id = find_trial(connection, study, number)
            rows = connection.execute(select(trial_table).where(trial_table.c.id == trial_id))
            return trial_record(rows.mappings().one())

    def epochs(self, study: str, number: int) -> list[EpochRecord]:
        """Return a trial's epochs, first to last."""
        with self._engine.connect() as connection:
            trial_id = find_trial(connection, study, number)
            rows = connection.execute(
                select(epoch_table)
                .where(epoch_table.c.trial_id == trial_id)
                .order_by(epoch_table.c.epoch)
            )
            return [epoch_record(row) for row in rows.mappings()]

    def accuracies(self, study: str, epochs: Iterable[int]) -> dict[int, dict[int, float]]:
        """Return the validation accuracies after some epochs: trial number to epoch to fraction."""
        found: dict[int, dict[int, float]] = {}
        with self._engine.connect() as connection:
            study_id = find_study(connection, study)
            rows = connection.execute(
                select(
                    trial_table.c.number,
                    epoch_table.c.epoch,
                    epoch_table.c.validation_accuracy,
                )
                .join_from(epoch_table, trial_table)
                .where(trial_table.c.study_id == study_id)
                .where(epoch_table.c.epoch.in_(list(epochs)))
                .order_by(trial_table.c.number, epoch_table.c.epoch)
            )
            for number, epoch, accuracy in rows:
                found.setdefault(number, {})[epoch] = math.nan if accuracy is None else accuracy
        return found

    def state_counts(self, study: str) -> dict[TrialState, int]:
        """Count the study's trials by state; every state is there, if only with 0."""
        with self._engine.connect() as connection:
            study_id = find_study(connection, study)
            rows = connection.execute(
                select(trial_table.c.state, func.count())
                .where(trial_table.c.study_id == study_id)
                .group_by(trial_table.c.state)
            )
            counts = {TrialState(state): int(count) for state, count in rows}
        return {state: counts.get(state, 0) for state in TrialState}

    def last_activity(self, study: str) -> datetime:
        """Return the moment of the last write to the study, its trials or their epochs."""
        with self._engine.connect() as connection:
            return _last_activity(connection, find_study(connection, study))

    def _update_study(self, name: str, **values: Any) -> None:
        with writing(self._engine) as connection:
            self._write_study(connection, self._fence.check(connection, name), **values)

    def _write_study(self, connection: Connection, study_id: int, **values: Any) -> None:
        connection.execute(
            update(study_table)
            .where(study_table.c.id == study_id)
            .values(**values, updated_at=self._moment(connection, study_id))
        )

    def _moment(self, connection: Connection, study_id: int) -> datetime:
        """Return a moment later than every one that the study has."""
        if study_id not in self._caught_up:
            self._last_moment = max(self._last_moment, _last_activity(connection, study_id))
            self._caught_up.add(study_id)
        return self._now(connection)

    def _now(self, connection: Connection) -> datetime:
        """Return the present, but always later than the last: a clock may stop or be set back."""
        now = database_now(connection)
        self._last_moment = max(now, self._last_moment + timedelta(microseconds=1))
        return self._last_moment


def _last_activity(connection: Connection, study_id: int) -> datetime:
    of_study: datetime = connection.execute(
        select(study_table.c.updated_at).where(study_table.c.id == study_id)
    ).scalar_one()
    of_trials: datetime | None = connection.execute(
        select(func.max(trial_table.c.updated_at)).where(trial_table.c.study_id == study_id)
    ).scalar_one()
    return max(of_study, of_trials or of_study)


def _write_epochs(connection: Connection, trial_id: int, epochs: Sequence[EpochRecord]) -> None:
    rows = [epoch_row(epoch) | {"trial_id": trial_id} for epoch in epochs]
    if rows:
        changed = [name for name in rows[0] if name not in ("trial_id", "epoch")]
        statement = upsert(connection.dialect.name, epoch_table, ("trial_id", "epoch"), changed)
        connection.execute(statement, rows)


def _check_name(name: str) -> None:
    if not 1 <= len(name) <= _NAME_LENGTH or not name.isprintable() or name != name.strip():
        raise UserError(
            f"study name {name!r}: write 1 to {_NAME_LENGTH} printable characters "
            f"without spaces around them (this has {len(name)})"
        )


def _nobody(study_id: int) -> dict[str, Any]:
    return {
        "study_id": study_id,
        "token": 0,
        "holder": "",
        "host": "",
        "pid": 0,
        "pid_started": 0.0,
        "acquired_unix_s": 0.0,
        "expires_unix_s": 0.0,
    }
