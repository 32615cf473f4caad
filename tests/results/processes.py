"""What tests run in processes of their own; imports little, for each process pays for it."""

import os
from typing import Any

from mlgsearch.errors import StudyConflictError
from mlgsearch.process_identity import process_identity
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.lease import acquire
from mlgsearch.results.database.migrate import upgrade
from mlgsearch.results.database.schema import check


def bring_up_to_date(url: str) -> None:
    """Upgrade a database, as several drivers may at once."""
    engine = open_engine(url)
    upgrade(engine)
    check(engine)
    engine.dispose()


def race(url: str, holder: str, start: Any, outcomes: Any) -> None:
    """Try five times to take the lease of study "digits"; put (holder, token or None) each time."""
    engine = open_engine(url)
    start.wait(60)
    for _ in range(5):
        try:
            lease = acquire(
                engine,
                "digits",
                holder=holder,
                host="elsewhere",
                pid=os.getpid(),
                process=process_identity(),
            )
            outcomes.put((holder, lease.token))
        except StudyConflictError:
            outcomes.put((holder, None))
    engine.dispose()
