"""Who holds a study's lease, and what drivers left of it, for suites that drive studies."""

from sqlalchemy import Engine

from mlgsearch.records import LeaseRecord, TrialRecord, TrialState
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.lease import held
from mlgsearch.results.database.store import ResultStore


def current(engine: Engine, study: str) -> LeaseRecord | None:
    """Return a study's lease; None where no driver holds it, or it ran out."""
    with engine.connect() as connection:
        return held(connection).get(study)


def trials_of(url: str, study: str) -> list[TrialRecord]:
    """Return a study's trials."""
    engine = open_engine(url)
    trials = ResultStore(engine).trials(study)
    engine.dispose()
    return trials


def left_waiting(url: str, study: str) -> int:
    """Return how many trials wait; no driver may hold the study, and no trial run."""
    engine = open_engine(url)
    assert current(engine, study) is None
    states = ResultStore(engine).state_counts(study)
    engine.dispose()
    assert states[TrialState.RUNNING] == 0
    return states[TrialState.WAITING]
