"""Open Optuna's own storage on the study's database."""

import logging
import time
from functools import partial
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from sqlalchemy import Engine, event
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from mlgsearch.records import OBJECTIVES
from mlgsearch.results.database.connection.engine import BUSY_TIMEOUT_S
from mlgsearch.results.database.connection.file_identity import reopen_replaced
from mlgsearch.results.database.fence import Fence

logger = logging.getLogger(__name__)

#: Waits between tries to open Optuna's storage; making its schema takes well under a second.
_WAITS_S = (0.1, 0.3, 1.0, 3.0)


def open_optuna_storage(engine: Engine) -> RDBStorage:
    """Open, and make where it is missing, Optuna's schema on the database of ``engine``."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = engine.url.render_as_string(hide_password=False)
    # Optuna fills a template in the URL, so a brace (in a password, say) must be doubled.
    url = url.replace("{", "{{").replace("}", "}}")
    is_sqlite = engine.dialect.name == "sqlite"
    options = (
        {"connect_args": {"timeout": BUSY_TIMEOUT_S}}
        if is_sqlite  # a connection of our engine begins its transactions otherwise
        else {"pool_pre_ping": True, "creator": partial(_new_connection, engine)}
    )
    storage = _open_or_wait(url, options)
    if is_sqlite:

        @event.listens_for(storage.engine, "connect")
        def _switch_on_foreign_keys(connection: object, record: object) -> None:
            connection.execute("PRAGMA foreign_keys=ON")  # type: ignore[attr-defined]

        reopen_replaced(storage.engine)
    close_optuna_storage(storage)
    return storage


def _new_connection(engine: Engine) -> Any:
    """Return a connection of the driver's own that waits for a silent server as the engine's do."""
    pooled = engine.raw_connection()
    connection = pooled.driver_connection
    pooled.detach()
    return connection


def close_optuna_storage(storage: RDBStorage) -> None:
    """Close this thread's session and all connections; what is asked later opens new ones."""
    storage.remove_session()
    storage.engine.dispose()


def guard(storage: RDBStorage, fence: Fence, study: str) -> None:
    """Make every commit of Optuna's check the study's lease last, inside its transaction.

    A commit of a driver that lost its lease raises LeaseLostError, and nothing of it is stored.
    """

    @event.listens_for(storage.scoped_session, "before_commit")
    def _check(session: Session) -> None:
        # SQLite locks with the first write: a lease looked at before it could change hands yet.
        session.flush()
        fence.check(session.connection(), study)


def _open_or_wait(url: str, options: dict[str, Any]) -> RDBStorage:
    """Open Optuna's storage, again where another process was making its schema at the same time.

    Optuna makes its tables in several transactions and its version rows without looking again, so
    of two processes on an empty database one may fail; a moment later it finds all done.
    """
    for wait_s in _WAITS_S:
        try:
            return RDBStorage(url, engine_kwargs=options)
        except (DatabaseError, StorageInternalError) as error:
            logger.info("Optuna's schema is being made by another process: %s", error)
            time.sleep(wait_s)
    return RDBStorage(url, engine_kwargs=options)


def directions(objectives: tuple[str, ...]) -> list[StudyDirection]:
    """Return Optuna's direction of each objective."""
    return [
        StudyDirection.MAXIMIZE if OBJECTIVES[name].larger_is_better else StudyDirection.MINIMIZE
        for name in objectives
    ]


def metric_names(objectives: tuple[str, ...]) -> list[str]:
    """Name each objective as its stored values are: a log10 is called one."""
    return [f"log10_{name}" if OBJECTIVES[name].is_log10 else name for name in objectives]
