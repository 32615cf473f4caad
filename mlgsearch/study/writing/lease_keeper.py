"""Hold a study's lease for as long as its driver runs."""

import getpass
import logging
import os
import socket
import threading
import time
from dataclasses import replace
from types import TracebackType

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from mlgsearch.errors import LeaseLostError
from mlgsearch.process_identity import process_identity
from mlgsearch.records import LeaseRecord
from mlgsearch.results.database import lease as leases
from mlgsearch.results.database.connection.file_identity import FileIdentity

logger = logging.getLogger(__name__)

TTL_S = 30.0
#: Between one renewal and the next; and the next try, where the database did not answer.
_RENEW_S, _RETRY_S = TTL_S / 3, 1.0


class LeaseKeeper:
    """A context in which this process drives the study; a thread renews the lease.

    The lease counts as lost once a SQLite file is moved away or replaced: what this process wrote
    then would go to a file that is no longer the database.

    Raises:
        StudyConflictError: on entering, where another driver holds it.
    """

    def __init__(self, engine: Engine, study: str):
        self._engine = engine
        self._study = study
        self._lease: LeaseRecord | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._file = FileIdentity(engine)
        #: What keeps the driver from training; stored with the next renewal, for the page.
        self.waits_for = ""
        #: Why the lease is lost; None while it is held.
        self.lost: str | None = None

    def __enter__(self) -> "LeaseKeeper":
        self._lease = leases.acquire(
            self._engine,
            self._study,
            holder=_user(),
            host=socket.gethostname(),
            pid=os.getpid(),
            process=process_identity(),
            ttl_s=TTL_S,
        )
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self.release()

    def release(self) -> None:
        """Release the lease at once; a thread may call it while another renews it."""
        if self.lost is None:
            try:
                leases.release(self._engine, self.lease)
            except DBAPIError as away:  # it runs out by itself
                logger.warning("the lease of %s could not be released: %s", self._study, away.orig)

    @property
    def lease(self) -> LeaseRecord:
        """The lease; every write of its holder carries it."""
        assert self._lease is not None, "the context was not entered"
        return self._lease

    def _renew(self) -> None:
        wait_s, renewed, is_said = _RENEW_S, time.monotonic(), False
        while not self._stop.wait(wait_s):
            if (loss := self._file.loss()) is not None:
                self.lost = (
                    f"{loss}: the study {self._study} stopped, and nothing more is written; put "
                    "the file back, then `resume` the study"
                )
                return
            try:
                lease = replace(self.lease, waits_for=self.waits_for)
                self._lease = leases.renew(self._engine, lease, ttl_s=TTL_S)
            except LeaseLostError as error:
                self.lost = str(error)
                return
            except DBAPIError as error:
                # Busy for a moment, most often. A lease that ran out is still ours, but another
                # driver may take it.
                wait_s = _RETRY_S
                if time.monotonic() > renewed + TTL_S and not is_said:
                    is_said = True
                    logger.warning("the lease of %s has run out: %s", self._study, error.orig)
            else:
                wait_s, renewed, is_said = _RENEW_S, time.monotonic(), False


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in some containers
        return f"uid {os.getuid()}"
