"""One driver at a time: a lease on a study, held by renewing it, by the database's clock."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    RowMapping,
    Update,
    literal,
    select,
    update,
)

from mlgsearch.errors import LeaseLostError, StudyConflictError
from mlgsearch.process_identity import is_gone
from mlgsearch.records import LeaseRecord
from mlgsearch.results.database.clock import DatabaseClock
from mlgsearch.results.database.connection.engine import writing
from mlgsearch.results.database.lookup import find_study
from mlgsearch.results.database.tables import lease_table, study_table


def acquire(
    engine: Engine,
    study: str,
    *,
    holder: str,
    host: str,
    pid: int,
    process: str = "",
    ttl_s: float = 30,
) -> LeaseRecord:
    """Take the lease of a study for ``ttl_s`` seconds.

    A lease that ran out is taken over, and at once that of a process on this ``host`` that is
    surely gone: by ``process``, its `process_identity`. Where that is not known on either side, or
    is of another boot or container, the lease must run out first.
    ``token`` of the result is larger than of every lease of this study before. Of several who try
    at once exactly one succeeds: taking is one UPDATE, on condition that no other came first.

    Raises:
        StudyConflictError: another process holds it; the message says who, and what to do.
        StudyNotFoundError: no such study.
    """
    with writing(engine) as connection:
        study_id = find_study(connection, study)
        seen = _read(connection, study_id)
        free: ColumnElement[bool] = lease_table.c.expires_unix_s <= DatabaseClock()
        if seen["host"] == host and is_gone(seen["pid"], seen["process"] or ""):
            free = literal(value=True)
        taking = (
            update(lease_table)
            .where(lease_table.c.study_id == study_id, lease_table.c.token == seen["token"], free)
            .values(
                token=lease_table.c.token + 1,
                holder=holder,
                host=host,
                pid=pid,
                process=process,
                waits_for=None,
                acquired_unix_s=DatabaseClock(),
                expires_unix_s=DatabaseClock() + ttl_s,
            )
        )
        is_ours = connection.execute(taking).rowcount == 1
        now = _read(connection, study_id)
        if not is_ours:
            raise StudyConflictError(_held(study, now))
        return _record(study, now)


def renew(engine: Engine, lease: LeaseRecord, *, ttl_s: float = 30) -> LeaseRecord:
    """Hold the lease for another ``ttl_s`` seconds from now, and store what it waits for.

    A lease that ran out but was not taken is still valid: no other driver ran in between.

    Raises:
        LeaseLostError: it was released, another took it, or the study was deleted; this
            driver must stop without writing anything more.
    """
    with writing(engine) as connection:
        values = {
            "expires_unix_s": DatabaseClock() + ttl_s,
            "waits_for": lease.waits_for or None,
        }
        if connection.execute(_update_own(lease, values)).rowcount == 1:
            return _record(lease.study, _read(connection, find_study(connection, lease.study)))
        study_id = connection.execute(_study_id(lease.study)).scalar()
        now = None if study_id is None else _read(connection, study_id)
        if now is None:
            reason = f"study {lease.study!r} was deleted"
        elif now["token"] == lease.token:
            reason = f"the lease on study {lease.study!r} was released"
        else:
            reason = _held(lease.study, now)
        raise LeaseLostError(f"{lease.holder} lost its lease: {reason}")


def release(engine: Engine, lease: LeaseRecord) -> None:
    """Release the lease; one that was lost already stays as it is."""
    with writing(engine) as connection:
        connection.execute(_update_own(lease, {"holder": "", "pid": 0, "expires_unix_s": 0.0}))


def held(connection: Connection) -> dict[str, LeaseRecord]:
    """Return the leases that somebody holds now, by the study's name."""
    rows = connection.execute(
        select(lease_table, study_table.c.name)
        .join_from(lease_table, study_table)
        .where(lease_table.c.expires_unix_s > DatabaseClock())
    )
    return {row["name"]: _record(row["name"], row) for row in rows.mappings()}


def _study_id(study: str) -> Any:
    return select(study_table.c.id).where(study_table.c.name == study)


def _update_own(lease: LeaseRecord, values: Mapping[str, Any]) -> Update:
    return (
        update(lease_table)
        .where(
            lease_table.c.study_id == _study_id(lease.study).scalar_subquery(),
            lease_table.c.token == lease.token,
            lease_table.c.holder == lease.holder,
            lease_table.c.pid == lease.pid,
        )
        .values(**values)
    )


def _read(connection: Connection, study_id: int) -> RowMapping:
    row = connection.execute(
        select(lease_table, DatabaseClock().label("clock_unix_s")).where(
            lease_table.c.study_id == study_id
        )
    )
    return row.mappings().one()


def _record(study: str, row: RowMapping) -> LeaseRecord:
    return LeaseRecord(
        study=study,
        holder=row["holder"],
        host=row["host"],
        pid=row["pid"],
        process=row["process"] or "",
        token=row["token"],
        acquired_at=datetime.fromtimestamp(row["acquired_unix_s"], UTC),
        expires_at=datetime.fromtimestamp(row["expires_unix_s"], UTC),
        waits_for=row["waits_for"] or "",
    )


def _held(study: str, row: RowMapping) -> str:
    age_s = row["clock_unix_s"] - row["acquired_unix_s"]
    left_s = max(0.0, row["expires_unix_s"] - row["clock_unix_s"])
    return (
        f"study {study!r} is driven by {row['holder']} (process {row['pid']} on {row['host']}) "
        f"since {age_s:.0f} s; stop that one with Ctrl-C, or if it is dead "
        f"try again when its lease runs out in {left_s:.0f} s"
    )
