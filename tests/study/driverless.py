"""A study's ledger on a real database, without Ray and without training."""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import optuna
from sqlalchemy import Engine, event

from mlgsearch.mlg.network import NetworkShape
from mlgsearch.records import EpochRecord, LeaseRecord, TrialRecord
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.fence import Fence
from mlgsearch.results.database.migrate import upgrade
from mlgsearch.results.database.store import ResultStore
from mlgsearch.study.file.spec import StudySpec
from mlgsearch.study.launch import register
from mlgsearch.study.search.ledger import Job, Ledger
from mlgsearch.study.search.new_trial import NewTrials
from mlgsearch.study.search.optuna_storage import (
    directions,
    guard,
    metric_names,
    open_optuna_storage,
)
from mlgsearch.study.search.optuna_trials import OptunaTrials
from mlgsearch.study.space.space import Space
from mlgsearch.study.writing.pending import PendingTrial
from mlgsearch.study.writing.spool import Spool
from mlgsearch.train.student.trial import TrialSummary
from tests.study.samples import MIXED, a_spec

#: Two settings in all, so that proposals soon repeat.
NARROW = {
    "kind": "uniform",
    "B_in": [1, 1],
    "B_out": [8, 9],
    "q_basis": [8, 8],
    "q_coeff_in": [8, 8],
    "q_coeff_out": [8, 8],
}


class Driverless:
    """A study and its database; ``ledger`` is the present driver's, `restart` gives the next's."""

    def __init__(self, url: str, n_trials: int = 6, shape: NetworkShape = MIXED, **content: Any):
        self.url = url
        self.spec: StudySpec = a_spec(**content)
        self.shape = shape
        self.engine = open_engine(url)
        upgrade(self.engine)
        self.storage = open_optuna_storage(self.engine)
        for engine in (self.engine, self.storage.engine):
            be_quick(engine)
        self.store = ResultStore(self.engine)
        register(self.spec, "", self.store)
        self.seen: list[tuple[TrialRecord, Sequence[EpochRecord]]] = []
        self.n_trials = n_trials
        self.ends: Callable[[Sequence[TrialRecord]], str | None] | None = None
        # Not a TemporaryDirectory: a study that a test drops would warn wherever it is collected.
        self._folder = Path(tempfile.mkdtemp())
        self.spool = Spool(self._folder, PendingTrial)
        self.restart()

    def restart(self, n_trials: int | None = None) -> None:
        """Forget everything that is not in the database, as a killed driver does."""
        if n_trials is not None:
            self.n_trials = n_trials
        objectives = self.spec.search.objectives
        space = Space(self.spec, self.shape)
        self.ledger = Ledger(
            spec=self.spec,
            space=space,
            new_trials=NewTrials(self.spec, space, self.shape, "beef", {"torch": "2"}),
            optuna_trials=OptunaTrials(
                self.storage, self.spec.name, directions(objectives), metric_names(objectives)
            ),
            store=self.store,
            spool=self.spool,
            n_trials=self.n_trials,
            on_change=lambda record, epochs: self.seen.append((record, epochs)),
            ends=self.ends,
        )

    def hold(self, lease: LeaseRecord) -> None:
        """Drive on under a lease, as real drivers do."""
        self.store = ResultStore(self.engine, lease)
        guard(self.storage, Fence(lease), self.spec.name)
        self.restart()

    def close(self) -> None:
        self.storage.remove_session()
        self.storage.engine.dispose()
        self.engine.dispose()
        shutil.rmtree(self._folder)

    def trials(self) -> list[TrialRecord]:
        return self.store.trials(self.spec.name)

    def states(self) -> list[str]:
        """States by number as our table has them; Optuna's must be the same."""
        ours = [trial.state.value for trial in self.trials()]
        assert ours == self.optuna_states()
        return ours

    def optuna_states(self) -> list[str]:
        return [trial.state.name for trial in self.optuna_study().trials]

    def optuna_study(self) -> optuna.Study:
        return optuna.load_study(study_name=self.spec.name, storage=self.storage)


#: What makes a study, by `Driverless`'s options, in a database of a test's own.
Make = Callable[..., Driverless]


def next_job(ledger: Ledger) -> Job:
    job = ledger.next_job()
    assert job is not None
    return job


@cache
def empty_database() -> bytes:
    """An SQLite file with both schemas, which take a second to make, and nothing in it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        engine = open_engine(f"sqlite:///{path}")
        upgrade(engine)
        storage = open_optuna_storage(engine)
        storage.engine.dispose()
        engine.dispose()
        return path.read_bytes()


def a_summary(accuracy: float = 0.9, loss: float = 0.3) -> TrialSummary:
    return TrialSummary(
        epochs_done=3,
        accuracy=accuracy,
        loss=loss,
        packed_bytes=1_234,
        projection_error={"stem": 0.1},
        stage_seconds={"train": 1.5},
        versions={},
        teacher_hash="",
    )


def be_quick(engine: Engine) -> None:
    """Let SQLite not wait for the disk: tests kill processes, not machines."""
    if engine.dialect.name == "sqlite":
        event.listen(
            engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF")
        )
        engine.dispose()
