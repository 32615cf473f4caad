"""The fence around a study's rows: who lost the study's lease writes nothing more."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from mlgsearch.errors import LeaseLostError
from mlgsearch.records import LeaseRecord
from mlgsearch.results.database.clock import DatabaseClock
from mlgsearch.results.database.lookup import no_study
from mlgsearch.results.database.tables import lease_table, study_table


@dataclass(frozen=True)
class Fence:
    """Allows one writer: the holder of ``lease``, or without one whoever comes first.

    A lease's token is larger than of every lease of the study before, so a driver that lost its
    lease is identified by the token, whatever it believes and however late it comes.
    """

    lease: LeaseRecord | None = None

    def check(self, connection: Connection, study: str) -> int:
        """Return the study's row id; the study's lease cannot change hands before the commit.

        To be called inside the transaction that writes.

        Raises:
            LeaseLostError: another driver took the study; without a lease: somebody drives it.
            StudyNotFoundError: there is no such study.
        """
        row = connection.execute(
            select(lease_table, DatabaseClock().label("clock_unix_s"))
            .join(study_table, study_table.c.id == lease_table.c.study_id)
            .where(study_table.c.name == study)
            .with_for_update(read=True, of=lease_table)
        ).first()
        if row is None:
            raise no_study(connection, study)
        if self.lease is None:
            if row.expires_unix_s > row.clock_unix_s:
                raise LeaseLostError(
                    f"study {study!r} is driven by {row.holder} (process {row.pid} on {row.host}): "
                    "only that driver may write to it"
                )
        elif row.token != self.lease.token:
            raise LeaseLostError(
                f"{self.lease.holder} (process {self.lease.pid} on {self.lease.host}) lost the "
                f"lease on study {study!r} (its token is {self.lease.token}): {row.holder} "
                f"(process {row.pid} on {row.host}) took it over with token {row.token}; "
                "this driver stops and writes nothing more"
            )
        study_id: int = row.study_id
        return study_id
