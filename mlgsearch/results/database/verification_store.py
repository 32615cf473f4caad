"""The store of verifications: trials trained again under other seeds."""

import math
from dataclasses import replace
from typing import Any

from sqlalchemy import Engine, RowMapping, select

from mlgsearch.records import LeaseRecord, TrialState, VerificationRecord
from mlgsearch.results.database.clock import database_now
from mlgsearch.results.database.connection.engine import writing
from mlgsearch.results.database.fence import Fence
from mlgsearch.results.database.lookup import find_study, find_trial
from mlgsearch.results.database.tables import trial_table, verification_table
from mlgsearch.results.database.upsert import upsert

_KEY = ("trial_id", "seed", "epochs")
_MEASURED = ("validation_accuracy", "test_accuracy", "packed_accuracy", "seconds")
_PLAIN = (
    "seed",
    "epochs",
    "epochs_done",
    *_MEASURED,
    "test_samples",
    "packed_bytes",
    "error",
    "created_at",
    "finished_at",
)


class VerificationStore:
    """Reads and writes verifications; the contract is that of ``ResultStore``.

    A verification is named by (study, trial, seed, epochs); a second put replaces the first.
    """

    def __init__(self, engine: Engine, lease: LeaseRecord | None = None) -> None:
        self._engine = engine
        self._fence = Fence(lease)

    def put(self, study: str, record: VerificationRecord) -> None:
        """Write a verification, or replace what is known of it.

        ``created_at``, and ``finished_at`` of a finished state, are the present moment where the
        record leaves them None; a later None keeps the first ``created_at``.

        Raises:
            LeaseLostError: another driver took the study.
            StudyNotFoundError: there is no such study.
            TrialNotFoundError: it has no such trial.
            ValueError: it is COMPLETE without finite accuracies.
        """
        _require_complete(record)
        kept = ("created_at",) if record.created_at is None else ()
        with writing(self._engine) as connection:
            self._fence.check(connection, study)
            now = database_now(connection)
            record = replace(record, created_at=record.created_at or now)
            if record.state.is_finished and record.finished_at is None:
                record = replace(record, finished_at=now)
            row: dict[str, Any] = {name: getattr(record, name) for name in _PLAIN}
            row |= {"state": record.state.value, "versions": dict(record.versions)}
            changed = [name for name in row if name not in (*_KEY, *kept)]
            row["trial_id"] = find_trial(connection, study, record.trial)
            dialect = connection.dialect.name
            connection.execute(
                upsert(dialect, verification_table, _KEY, changed, row, keep_if_set=kept)
            )

    def verifications(self, study: str) -> list[VerificationRecord]:
        """Return all of the study, by trial, epochs and seed.

        Raises:
            StudyNotFoundError: there is no such study.
        """
        with self._engine.connect() as connection:
            study_id = find_study(connection, study)
            rows = connection.execute(
                select(verification_table, trial_table.c.number)
                .join(trial_table)
                .where(trial_table.c.study_id == study_id)
                .order_by(
                    trial_table.c.number, verification_table.c.epochs, verification_table.c.seed
                )
            )
            return [_record(row) for row in rows.mappings()]


def _record(row: RowMapping) -> VerificationRecord:
    return VerificationRecord(
        trial=row["number"],
        state=TrialState(row["state"]),
        versions=row["versions"],
        **{name: row[name] for name in _PLAIN},
    )


def _require_complete(record: VerificationRecord) -> None:
    if record.state is not TrialState.COMPLETE:
        return
    for name in _MEASURED:
        value = getattr(record, name)
        if value is None or not math.isfinite(value):
            raise ValueError(
                f"the verification of trial {record.trial} with seed {record.seed} is COMPLETE "
                f"with {name} {value!r}"
            )
