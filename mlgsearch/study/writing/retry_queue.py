"""Deliver what changed to a database that may be away for a while."""

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Generic

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError

from mlgsearch.errors import StorageError
from mlgsearch.results.database.connection.trouble import trouble
from mlgsearch.study.writing.spool import P, Spool

logger = logging.getLogger(__name__)

#: How long a write waits for another process's lock, while the workers wait for the driver.
LOCK_WAIT_S = 2.0
#: Between two looks at a database that is away, when all trainings have ended.
POLL_S = 0.2
#: Between two tries to reach a database that is away: the first wait, and the longest.
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 10.0


class RetryQueue(Generic[P]):
    """Writes what changed to the database, in the order of the changes.

    While the database is away, locked or full, what changes is kept in a spool, a thing's newest
    entry in one with those before, and is written as soon as the database takes it.

    Args:
        write: writes one entry; called again after a failure, so it must be idempotent.
        spool: where the results wait.
    """

    def __init__(self, write: Callable[[P], None], spool: Spool[P]):
        self._write = write
        self._spool = spool
        self._pending: dict[str, P] = {}
        #: What the spool has a file of; where more came meanwhile, the file is behind.
        self._kept: dict[str, P] = {}
        self._wait_s = _FIRST_WAIT_S
        self._next_try = 0.0
        #: Why the database cannot be written; None while it can.
        self.away: str | None = None

    @property
    def waiting(self) -> list[str]:
        """The keys of what waits to be written."""
        return list(self._pending)

    def put(self, entry: P) -> bool:
        """Write an entry, behind those that wait; return whether it is written."""
        earlier = self._pending.pop(entry.key, None)
        self._pending[entry.key] = entry if earlier is None else entry.behind(earlier)
        return self.flush()

    def withdraw(self, key: str) -> None:
        """Take back what waits to be written under a key."""
        self._pending.pop(key, None)
        self._drop(key)

    def flush(self) -> bool:
        """Write what waits, unless the database was away a moment ago; return whether all is."""
        if self.away is not None and time.monotonic() < self._next_try:
            self._keep()
            return False
        for key, entry in list(self._pending.items()):
            if not self.reach(partial(self._write, entry)):
                self._keep()
                return False
            del self._pending[key]
            self._drop(key)
        return True

    def reach(self, action: Callable[[], object]) -> bool:
        """Do something with the database; return whether it could be reached.

        Raises:
            StorageError: it could, and something must be put right.
            DBAPIError: it could, and the trouble is another.
        """
        try:
            action()
        except (DBAPIError, StorageInternalError) as error:
            cause = error if isinstance(error, DBAPIError) else error.__cause__
            found = trouble(cause) if isinstance(cause, DBAPIError) else None
            if found is None:
                raise
            if not found.passes:
                self._keep()
                raise StorageError(
                    f"the database cannot be used: {found.said}; the study stopped, and what it "
                    f"could not write waits in {self._spool.folder}: put it right, then `resume` it"
                ) from error
            self._note_away(found.said)
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
                self._spool.folder,
            )
        self.away = reason
        self._next_try = time.monotonic() + self._wait_s
        self._wait_s = min(2 * self._wait_s, _LONGEST_WAIT_S)

    def _keep(self) -> None:
        """Put what waits into the spool; where even that cannot be, it waits in memory alone."""
        for key, entry in self._pending.items():
            if self._kept.get(key) is entry:
                continue
            try:
                self._spool.keep(entry)
            except OSError as error:
                logger.error("trial %s waits in memory alone: %s", key, error)  # noqa: TRY400
                return
            self._kept[key] = entry

    def _drop(self, key: str) -> None:
        """Take an entry out of the spool, where it is."""
        if self._kept.pop(key, None) is not None:
            self._spool.drop(key)
