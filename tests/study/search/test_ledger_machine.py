"""Any order of asking, ending, stopping and killing, on a database that comes and goes."""

import math
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import OperationalError

from mlgsearch.errors import StudyFailedError
from mlgsearch.records import TrialRecord, TrialState
from mlgsearch.study.search.ledger import Job
from mlgsearch.study.writing import retry_queue
from tests.study.driverless import NARROW, Driverless, a_summary, empty_database
from tests.study.samples import an_epoch


class Killed(BaseException):
    """What SIGKILL would be, at a chosen write."""


def locked() -> StorageInternalError:
    """What Optuna makes of SQLite's error where another process holds the file."""
    cause = sqlite3.OperationalError("database is locked")
    cause.sqlite_errorname = "SQLITE_BUSY"
    error = StorageInternalError("")
    error.__cause__ = OperationalError("UPDATE", {}, cause)
    return error


class Fuse:
    """Counts writes down; at zero the process is as good as dead, and nothing more is written."""

    def __init__(self) -> None:
        self.left: int | None = None
        #: Whether the database is away from here on; the driver lives on then.
        self.is_away = False

    def guard(self, target: Any, *methods: str) -> None:
        for method in methods:
            setattr(target, method, self._guarded(getattr(target, method)))

    def _guarded(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*args: Any, **options: Any) -> Any:
            if self.is_away:
                raise locked()
            if self.left is not None:
                if self.left == 0:
                    raise Killed
                self.left -= 1
            return call(*args, **options)

        return guarded


class LedgerMachine(RuleBasedStateMachine):
    """Asks, completes, fails, stops and kills in any order; at the end nothing is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(retry_queue, "_FIRST_WAIT_S", 0.0)  # it comes back at once
        self.running: dict[int, Job] = {}
        self.finished: dict[int, TrialRecord] = {}

    @initialize(n_trials=st.integers(1, 8), wide=st.booleans(), stops_early=st.booleans())
    def begin(self, n_trials: int, wide: bool, stops_early: bool) -> None:
        space = NARROW | ({"B_out": [8, 12]} if wide else {})
        rule = {"factor": 2, "first_rung": 1, "min_trials": 2}  # epochs 1, 2, 4 and 8 of 10
        search = {"sampler": "random", "early_stopping": rule if stops_early else "off"}
        (self.folder / "a.db").write_bytes(empty_database())
        self.study = Driverless(
            f"sqlite:///{self.folder}/a.db", n_trials=n_trials, space=space, search=search
        )
        self.fuse = Fuse()
        self.fuse.guard(self.study.store, "put_trial", "check_lease")
        self.fuse.guard(
            self.study.storage, "_create_new_trial", "set_trial_state_values", "set_trial_user_attr"
        )
        self._restart()

    @precondition(lambda self: len(self.running) < 3)
    @rule()
    def ask(self) -> None:
        job = self.study.ledger.next_job()
        if job is None:
            # More may come of what runs: its worker may die, or let a stopped trial go on.
            ledger = self.study.ledger
            assert ledger.has_no_more or self.running or self.fuse.is_away
            return
        assert job.number not in self.running
        assert job.fingerprint not in {other.fingerprint for other in self.running.values()}
        self.running[job.number] = job

    def _end_one(self, data: st.DataObject) -> int:
        number = data.draw(st.sampled_from(sorted(self.running)))
        del self.running[number]
        return number

    @precondition(lambda self: self.running)
    @rule(data=st.data(), accuracy=st.floats(0, 1), is_nan=st.booleans())
    def complete(self, data: st.DataObject, accuracy: float, is_nan: bool) -> None:
        number = self._end_one(data)
        self.study.ledger.complete(number, a_summary(math.nan if is_nan else accuracy))

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        with suppress(StudyFailedError):  # reported behind the writes
            self.study.ledger.fail(self._end_one(data), "it broke")

    @precondition(lambda self: self.running)
    @rule(data=st.data(), epochs=st.integers(1, 9), accuracy=st.sampled_from([0.1, 0.2, 0.3]))
    def report(self, data: st.DataObject, epochs: int, accuracy: float) -> None:
        number = data.draw(st.sampled_from(sorted(self.running)))
        seen = [an_epoch(i + 1, accuracy) for i in range(epochs)]
        if not self.study.ledger.add_epochs(number, seen):
            del self.running[number]

    @rule(writes=st.integers(0, 4), stops=st.booleans())
    def kill_while_asking_or_stopping(self, writes: int, stops: bool) -> None:
        act = self.study.ledger.queue_unfinished if stops else self.study.ledger.next_job
        self._kill(writes, act)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), writes=st.integers(0, 4), how=st.sampled_from(["fail", "stop", "end"]))
    def kill_while_finishing(self, data: st.DataObject, writes: int, how: str) -> None:
        number, ledger = self._end_one(data), self.study.ledger
        if how == "fail":
            self._kill(writes, lambda: ledger.fail(number, "it broke"))
        elif how == "stop":
            seen = [an_epoch(i + 1, 0.1) for i in range(9)]
            self._kill(writes, lambda: ledger.add_epochs(number, seen))
        else:
            self._kill(writes, lambda: ledger.complete(number, a_summary()))

    def _kill(self, writes: int, act: Callable[[], object]) -> None:
        """Die at some write of an action, or right after it."""
        self.fuse.left = writes
        with suppress(Killed, StudyFailedError):
            act()
        self.fuse.left = None
        self._restart()

    @rule()
    def lose_the_database_for_a_while(self) -> None:
        self.fuse.is_away = not self.fuse.is_away

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def lose_a_worker(self, data: st.DataObject) -> None:
        self.study.ledger.lose(self._end_one(data))

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def lose_a_node(self, data: st.DataObject) -> None:
        self.study.ledger.hand_over(self._end_one(data))

    @precondition(lambda self: not self.fuse.is_away)
    @rule()
    def stop(self) -> None:
        queued = self.study.ledger.queue_unfinished()
        assert self.study.ledger.deliver()
        assert queued == [t.number for t in self.study.trials() if not t.state.is_finished]
        assert set(self.study.states()) <= {"WAITING", "COMPLETE", "FAIL", "PRUNED"}
        self._restart()

    @precondition(lambda self: self.study.n_trials < 12)
    @rule()
    def extend(self) -> None:
        self._restart(self.study.n_trials + 2)

    def _restart(self, n_trials: int | None = None) -> None:
        self.fuse.is_away = False
        self.running.clear()
        self.study.restart(n_trials)
        self.fuse.guard(self.study.ledger._optuna_trials, "reopen")
        # Whatever the kill cut in two is whole again.
        ours = [trial.state.is_finished for trial in self.study.trials()]
        theirs = [trial.state.is_finished() for trial in self.study.optuna_study().trials]
        assert ours == theirs

    @invariant()
    def finished_trials_never_change(self) -> None:
        trials = self.study.trials() if hasattr(self, "study") else []
        assert [trial.number for trial in trials] == list(range(len(trials)))
        for_good = (TrialState.COMPLETE, TrialState.FAIL)
        now = {trial.number: trial for trial in trials if trial.state in for_good}
        assert {number: now.get(number) for number in self.finished} == self.finished
        self.finished = now

    def teardown(self) -> None:
        if not hasattr(self, "study"):
            return
        study = self.study
        self.fuse.is_away = False
        assert study.ledger.deliver()
        study.restart()
        while (job := study.ledger.next_job()) is not None:
            study.ledger.complete(job.number, a_summary())
        assert study.ledger.is_finished
        trials = study.trials()
        assert len(trials) == study.n_trials
        assert set(study.states()) <= {"COMPLETE", "FAIL", "PRUNED"}
        trained = {t.fingerprint: t for t in trials if t.state == TrialState.COMPLETE}
        own = [t for t in trials if t.state == TrialState.COMPLETE and t.reused_from is None]
        assert len(own) == len(trained), "a student was trained twice"
        for trial in trials:
            if trial.reused_from is not None:
                source = trials[trial.reused_from]
                assert source.reused_from is None
                assert source.fingerprint == trial.fingerprint
                assert (source.state, source.accuracy) == (trial.state, trial.accuracy)
        study.close()
        self.patch.undo()
        shutil.rmtree(self.folder)


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(
    max_examples=10,
    stateful_step_count=18,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
