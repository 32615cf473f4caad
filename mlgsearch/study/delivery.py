"""Deliver what changed to a database that may be away for a while."""

import logging
import time
from collections.abc import Callable, Sequence

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError

from mlgsearch.records import EpochRecord, TrialRecord
from mlgsearch.results.outage import outage
from mlgsearch.study.outbox import Outbox

logger = logging.getLogger(__name__)

#: Between two tries to reach a database that is away: the first wait, and the longest.
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 10.0

Write = Callable[[TrialRecord, Sequence[EpochRecord]], None]
_Parcel = tuple[TrialRecord, tuple[EpochRecord, ...]]


class Delivery:
    """Writes changed trials to the database in the order of their changes.

    While the database is away, locked or full, what changes is kept in an outbox, a trial's newest
    record with all its undelivered epochs, and is written as soon as the database takes it.

    Args:
        write: writes one trial; called again after a failure, so it must be idempotent.
        outbox: where the results wait.
    """

    def __init__(self, write: Write, outbox: Outbox):
        self._write = write
        self._outbox = outbox
        self._pending: dict[int, _Parcel] = {}
        #: What the outbox has a file of; where more came meanwhile, the file is behind.
        self._kept: dict[int, _Parcel] = {}
        self._wait_s = _FIRST_WAIT_S
        self._next_try = 0.0
        #: Why the database cannot be written; None while it can.
        self.away: str | None = None

    @property
    def waiting(self) -> list[int]:
        """The trials that wait to be written."""
        return list(self._pending)

    def put(self, record: TrialRecord, epochs: Sequence[EpochRecord] = ()) -> bool:
        """Write a trial, behind those that wait; tell whether it is written."""
        _, earlier = self._pending.pop(record.number, (None, ()))
        self._pending[record.number] = record, (*earlier, *epochs)
        return self.flush()

    def withdraw(self, number: int) -> None:
        """Take back what waits to be written of a trial."""
        self._pending.pop(number, None)
        self._drop(number)

    def flush(self) -> bool:
        """Write what waits, unless the database was away a moment ago; tell whether all is."""
        if self.away is not None and time.monotonic() < self._next_try:
            self._keep()
            return False
        for number, (record, epochs) in list(self._pending.items()):
            if not self.reach(lambda record=record, epochs=epochs: self._write(record, epochs)):  # type: ignore[misc]
                self._keep()
                return False
            del self._pending[number]
            self._drop(number)
        return True

    def reach(self, action: Callable[[], object]) -> bool:
        """Do something with the database; tell whether it could be reached.

        Raises:
            DBAPIError: it could, and the trouble is another.
        """
        try:
            action()
        except (DBAPIError, StorageInternalError) as error:
            cause = error if isinstance(error, DBAPIError) else error.__cause__
            reason = outage(cause) if isinstance(cause, DBAPIError) else None
            if reason is None:
                raise
            self._note_away(reason)
            return False
        if self.away is not None:
            logger.error("the database takes writes again")
        self.away, self._wait_s = None, _FIRST_WAIT_S
        return True

    def _note_away(self, reason: str) -> None:
        if self.away is None:
            logger.error(
                "the database cannot be written: %s; training goes on, results wait in %s",
                reason,
                self._outbox.folder,
            )
        self.away = reason
        self._next_try = time.monotonic() + self._wait_s
        self._wait_s = min(2 * self._wait_s, _LONGEST_WAIT_S)

    def _keep(self) -> None:
        """Put what waits into the outbox; where even that cannot be, it waits in memory alone."""
        for number, parcel in self._pending.items():
            if self._kept.get(number) is parcel:
                continue
            try:
                self._outbox.keep(*parcel)
            except OSError as error:
                logger.error("trial %d waits in memory alone: %s", number, error)  # noqa: TRY400
                return
            self._kept[number] = parcel

    def _drop(self, number: int) -> None:
        """Take a trial out of the outbox, where it is."""
        if self._kept.pop(number, None) is not None:
            self._outbox.drop(number)
