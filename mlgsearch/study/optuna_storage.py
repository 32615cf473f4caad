"""Open Optuna's own storage on the study's database."""

import optuna
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from sqlalchemy import Engine, event

from mlgsearch.records import OBJECTIVES
from mlgsearch.results.engine import BUSY_TIMEOUT_S


def open_optuna_storage(engine: Engine) -> RDBStorage:
    """Open, and make where it is missing, Optuna's schema on the database of ``engine``."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = engine.url.render_as_string(hide_password=False)
    # Optuna fills a template in the URL, so a brace (in a password, say) must be doubled.
    url = url.replace("{", "{{").replace("}", "}}")
    is_sqlite = engine.dialect.name == "sqlite"
    options = (
        {"connect_args": {"timeout": BUSY_TIMEOUT_S}} if is_sqlite else {"pool_pre_ping": True}
    )
    storage = RDBStorage(url, engine_kwargs=options)
    if is_sqlite:

        @event.listens_for(storage.engine, "connect")
        def _switch_on_foreign_keys(connection: object, record: object) -> None:
            connection.execute("PRAGMA foreign_keys=ON")  # type: ignore[attr-defined]

        storage.remove_session()
        storage.engine.dispose()
    return storage


def directions(objectives: tuple[str, ...]) -> list[StudyDirection]:
    """Give Optuna's direction of each objective."""
    return [
        StudyDirection.MAXIMIZE if OBJECTIVES[name].larger_is_better else StudyDirection.MINIMIZE
        for name in objectives
    ]


def metric_names(objectives: tuple[str, ...]) -> list[str]:
    """Name each objective as its stored values are: a log10 is called one."""
    return [f"log10_{name}" if OBJECTIVES[name].is_log10 else name for name in objectives]
