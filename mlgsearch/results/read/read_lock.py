"""One reader of a database at a time, and none that waits for each of those before it to fail."""

import threading
from copy import copy
from types import TracebackType

from sqlalchemy.exc import DBAPIError

from mlgsearch.errors import StorageError


class ReadLock:
    """A lock around reading a database; who waits for it fails as who holds it does.

    Where the database is locked or does not answer, a read fails after some time. Those that wait
    for that one fail with it, rather than each after its own time; those that come while the next
    one tries fail at once.

    Raises:
        DBAPIError, StorageError: on entering, where a read that this one had to wait for did.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failure: DBAPIError | StorageError | None = None

    def __enter__(self) -> None:
        before = self._failure
        if not self._lock.acquire(blocking=before is None):
            assert before is not None
            raise copy(before)
        if before is None and self._failure is not None:
            self._lock.release()
            raise copy(self._failure)

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        # A copy has no traceback, whose frames would be kept with it.
        self._failure = copy(error) if isinstance(error, DBAPIError | StorageError) else None
        self._lock.release()
