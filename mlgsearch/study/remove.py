"""Delete a study from every table that knows it."""

from sqlalchemy import Engine

from mlgsearch.records import StudyRecord
from mlgsearch.results.database.store import ResultStore
from mlgsearch.study.search.optuna_storage import close_optuna_storage, open_optuna_storage
from mlgsearch.study.writing.lease_keeper import LeaseKeeper


def remove(study: StudyRecord, engine: Engine) -> None:
    """Delete a study's rows, Optuna's and ours; its folder is the caller's to delete.

    Raises:
        StudyConflictError: a driver holds the study.
    """
    with LeaseKeeper(engine, study.name) as keeper:
        storage = open_optuna_storage(engine)
        for known in storage.get_all_studies():
            if known.study_name == study.name:
                storage.delete_study(known._study_id)
        close_optuna_storage(storage)
        ResultStore(engine, keeper.lease).delete_study(study.name)
