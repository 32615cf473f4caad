"""A database filled through the store, and what is printed of it."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine
from typer.testing import Result

from mlgsearch.records import StudyRecord, TrialState
from mlgsearch.results.database import lease as leases
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.store import ResultStore
from tests.results.samples import a_complete, a_study, a_trial, an_epoch
from tests.study.driverless import empty_database

NAME = "digits [bold]"


class Filled:
    """A database with two studies; the first has a trial in each state."""

    def __init__(self, folder: Path):
        self.folder = folder
        (folder / "a.db").write_bytes(empty_database())
        self.url = f"sqlite:///{folder}/a.db"
        self.engine: Engine = open_engine(self.url)
        self.store = ResultStore(self.engine)
        self.store.create_study(a_study(NAME, content_hash="1", n_trials=9))
        self.store.create_study(a_study("empty", teacher_accuracy=None))
        note = "no [red]memory[/] left"
        first = a_complete(
            0, 0.95, 0.05, projection_error={"stem": 0.25}, stage_seconds={"train": 2}
        )
        self.store.put_trial(NAME, first, [an_epoch(1), an_epoch(2, train_loss=float("nan"))])
        for trial in (
            a_complete(1, 0.90, 0.01, packed_bytes=12_500_049),
            a_complete(2, 0.80, 0.02),
            a_complete(3, 0.95, 0.05, reused_from=0),
            a_trial(4, state=TrialState.FAIL, error=note, attempts=3),
            a_trial(5, state=TrialState.RUNNING, epochs_done=1),
            a_trial(6, state=TrialState.WAITING),
        ):
            self.store.put_trial(NAME, trial)

    @property
    def study(self) -> StudyRecord:
        return self.store.study(NAME)

    @contextmanager
    def driven(self) -> Iterator[None]:
        """Hold the lease of the first study, as a driver on this machine would."""
        lease = leases.acquire(self.engine, NAME, holder="ann", host="box", pid=os.getpid())
        yield
        leases.release(self.engine, lease)


Run = Callable[..., Result]


def lines(result: Result) -> list[str]:
    assert result.exception is None, result.output
    return [line.strip() for line in result.stdout.splitlines() if line.strip()]


def row(result: Result, first: str) -> list[str]:
    """Return the cells of the table row that begins so."""
    (found,) = [line for line in lines(result) if line.startswith(first)]
    return found.split()
