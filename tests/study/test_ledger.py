import math
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
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
from optuna.trial import TrialState as OptunaState
from sqlalchemy.exc import OperationalError

from mlgsearch.errors import StudyConflictError, StudyFailedError, StudyFileError
from mlgsearch.mlg.network import network_sizes
from mlgsearch.mlg.uniform import uniform_settings
from mlgsearch.records import TrialRecord, TrialState
from mlgsearch.study import delivery
from mlgsearch.study.ledger import Job, Ledger
from tests.study.driverless import NARROW, Driverless, a_summary, empty_database
from tests.study.samples import MIXED, an_epoch

PAPERS = [2, 44, 3, 6, 3]


@pytest.fixture
def driverless(tmp_path: Path) -> Iterator[Callable[..., Driverless]]:
    made: list[Driverless] = []
    (tmp_path / "a.db").write_bytes(empty_database())

    def make(**options: Any) -> Driverless:
        made.append(Driverless(f"sqlite:///{tmp_path}/a.db", **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


Make = Callable[..., Driverless]


def next_job(ledger: Ledger) -> Job:
    job = ledger.next_job()
    assert job is not None
    return job


def test_the_whole_life_of_a_study_on_every_database(database_url: str) -> None:
    study = Driverless(database_url, n_trials=4, search={"first": [PAPERS]})
    first, second, third = (next_job(study.ledger) for _ in range(3))
    study.ledger.add_epochs(first.number, [an_epoch(1), an_epoch(2)])
    study.ledger.complete(first.number, a_summary(0.91))
    study.ledger.fail(second.number, "NaN \x00 in epoch 1")
    assert study.ledger.queue_unfinished() == [third.number]
    assert study.states() == ["COMPLETE", "FAIL", "WAITING"]

    study.restart()
    adopted = next_job(study.ledger)
    assert (adopted.number, adopted.is_adopted) == (2, True)
    assert adopted.proposal == third.proposal
    last = next_job(study.ledger)
    assert (last.number, last.is_adopted) == (3, False)
    assert study.ledger.next_job() is None
    assert not study.ledger.is_finished
    study.restart()
    while (job := study.ledger.next_job()) is not None:
        study.ledger.complete(job.number, a_summary())
    assert study.ledger.is_finished
    assert study.states() == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert [trial.attempts for trial in study.trials()] == [1, 1, 3, 2]
    assert [epoch.epoch for epoch in study.store.epochs("digits", 0)] == [1, 2]
    # Optuna's own tools see the same values.
    assert study.optuna_study().trials[0].values == [
        0.91,
        math.log10(study.trials()[0].sizes.memory_ratio),
    ]
    assert study.optuna_study().trials[1].user_attrs["mlgsearch:error"].startswith("NaN")
    study.close()


def test_a_new_trial_is_recorded_with_all_that_is_known_of_it(driverless: Make) -> None:
    study = driverless(
        search={"first": [PAPERS]},
        seed=7,
        training={"epochs": 3},
        space={"hyperparameters": {"training.batch_size": {"choices": [32]}}},
    )
    job = next_job(study.ledger)
    (record,) = study.trials()
    settings_wanted = uniform_settings(MIXED, (2, 44, 3, 6, 3))
    assert job.proposal.settings == settings_wanted
    assert record.settings == {name: s.five for name, s in settings_wanted.items()}
    assert record.sizes == network_sizes(MIXED, settings_wanted)
    assert record.state == TrialState.RUNNING
    assert record.hyperparameters == {"training.batch_size": 32}
    assert record.fingerprint == job.fingerprint
    assert (record.seed, record.epochs_wanted, record.attempts) == (7, 3, 1)
    assert (record.teacher_hash, record.versions) == ("beef", {"torch": "2"})
    assert record.created_at is not None


def test_first_trials_come_first_and_in_order(driverless: Make) -> None:
    study = driverless(
        space={"kind": "uniform"}, search={"first": [PAPERS, [1, 8, 3, 6, 3], [4, 16, 8, 8, 8]]}
    )
    jobs = [next_job(study.ledger) for _ in range(4)]
    asked = [trial.params["B_out"] for trial in study.optuna_study().trials]
    assert asked[:3] == [44, 8, 16]
    assert [job.number for job in jobs] == [0, 1, 2, 3]


def test_a_complete_trial_has_its_results_and_its_watcher_is_told(driverless: Make) -> None:
    study = driverless()
    job = next_job(study.ledger)
    study.ledger.add_epochs(job.number, [an_epoch(1)])
    study.ledger.complete(job.number, a_summary(0.75, 0.5))
    (record,) = study.trials()
    assert record.state == TrialState.COMPLETE
    assert (record.accuracy, record.loss, record.epochs_done) == (0.75, 0.5, 1)
    assert record.projection_error == {"stem": 0.1}
    assert record.stage_seconds == {"train": 1.5}
    assert record.finished_at is not None
    assert record.reused_from is None
    assert record.error is None
    assert [r.state.value for r, _ in study.seen] == ["RUNNING", "RUNNING", "RUNNING", "COMPLETE"]
    assert [len(epochs) for _, epochs in study.seen] == [0, 0, 1, 0]
    assert study.ledger.records == [record]


def test_epochs_told_again_are_left_as_they_are(driverless: Make) -> None:
    study = driverless()
    job = next_job(study.ledger)
    study.ledger.add_epochs(job.number, [an_epoch(1, 0.1), an_epoch(2, 0.2)])
    study.ledger.add_epochs(job.number, [an_epoch(1, 0.9), an_epoch(2, 0.9), an_epoch(3, 0.3)])
    study.ledger.add_epochs(job.number, [an_epoch(3, 0.9)])
    study.ledger.add_epochs(job.number, [])
    epochs = study.store.epochs("digits", job.number)
    assert [e.validation_accuracy for e in epochs] == [0.1, 0.2, 0.3]
    assert study.trials()[0].epochs_done == 3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"accuracy": math.nan}, "accuracy: nan is not a usable value"),
        ({"accuracy": math.inf}, "accuracy: inf is not a usable value"),
        ({"accuracy": None}, "accuracy is missing"),
        ({"loss": math.nan}, "loss: nan is not a usable value"),
        ({"loss": None}, "loss is missing"),
    ],
)
def test_a_result_that_is_not_finite_fails_the_trial(
    driverless: Make, changes: dict[str, Any], said: str
) -> None:
    study = driverless()
    job = next_job(study.ledger)
    study.ledger.complete(job.number, a_summary() | changes)
    assert study.states() == ["FAIL"]
    assert study.trials()[0].error == f"the training gave no usable result: {said}"
    assert study.trials()[0].accuracy is None


def test_a_third_objective_reaches_optuna(driverless: Make) -> None:
    study = driverless(search={"objectives": ["accuracy", "memory_ratio", "generation_macs"]})
    job = next_job(study.ledger)
    study.ledger.complete(job.number, a_summary())
    sizes = study.trials()[0].sizes
    values = study.optuna_study().trials[0].values
    assert values[1:] == [math.log10(sizes.memory_ratio), math.log10(sizes.generation_macs)]


def duplicates(study: Driverless) -> dict[int, list[int]]:
    """Give the trials that were made as duplicates, by the trial they are the same as."""
    by_fingerprint: dict[str, list[int]] = {}
    for trial in study.trials():
        by_fingerprint.setdefault(trial.fingerprint, []).append(trial.number)
    return {numbers[0]: numbers[1:] for numbers in by_fingerprint.values()}


def test_a_duplicate_of_a_complete_trial_shares_its_result_and_says_so(driverless: Make) -> None:
    study = driverless(space=NARROW, search={"sampler": "random"}, n_trials=8)
    jobs = []
    while (job := study.ledger.next_job()) is not None:
        jobs.append(job.number)
        study.ledger.add_epochs(job.number, [an_epoch(1)])
        study.ledger.complete(job.number, a_summary(0.5 + job.number / 100))
    same = duplicates(study)
    assert jobs == list(same)
    assert len(jobs) == 2
    assert study.ledger.is_finished
    assert study.states() == ["COMPLETE"] * 8
    trials = study.trials()
    for first, others in same.items():
        assert trials[first].reused_from is None
        for other in others:
            assert trials[other].reused_from == first
            assert trials[other].accuracy == trials[first].accuracy
            assert trials[other].packed_bytes == a_summary()["packed_bytes"]
            assert trials[other].epochs_done == 1
            assert trials[other].attempts == 0
            assert study.store.epochs("digits", other) == []
            seen = study.optuna_study().trials[other]
            assert seen.values == study.optuna_study().trials[first].values
            assert seen.user_attrs["mlgsearch:reused_from"] == first


def test_the_packed_files_size_may_be_searched(driverless: Make) -> None:
    objectives = ["accuracy", "packed_bytes"]
    study = driverless(search={"sampler": "random", "objectives": objectives}, n_trials=1)
    study.ledger.complete(next_job(study.ledger).number, a_summary(0.7))
    assert study.trials()[0].packed_bytes == a_summary()["packed_bytes"]
    seen = study.optuna_study().trials[0].values
    assert seen == [0.7, pytest.approx(math.log10(a_summary()["packed_bytes"]))]


def test_duplicates_of_a_running_trial_wait_and_share_its_result(driverless: Make) -> None:
    study = driverless(space=NARROW, search={"sampler": "random"}, n_trials=8)
    one, two = next_job(study.ledger), next_job(study.ledger)
    assert study.ledger.next_job() is None
    assert not study.ledger.has_no_more  # a worker may die
    assert not study.ledger.is_finished
    same = duplicates(study)
    assert [s for s in study.states() if s != "RUNNING"] == []
    study.ledger.complete(one.number, a_summary(0.7))
    trials = study.trials()
    assert all(trials[n].state == TrialState.COMPLETE for n in same[one.number])
    assert all(trials[n].reused_from == one.number for n in same[one.number])
    assert all(trials[n].state == TrialState.RUNNING for n in [two.number, *same[two.number]])
    study.ledger.complete(two.number, a_summary(0.8))
    assert study.ledger.is_finished
    assert study.states() == ["COMPLETE"] * 8


def test_duplicates_of_a_running_trial_fail_with_it(driverless: Make) -> None:
    study = driverless(space=NARROW, search={"sampler": "random"}, n_trials=8)
    one, two = next_job(study.ledger), next_job(study.ledger)
    assert study.ledger.next_job() is None
    same = duplicates(study)
    study.ledger.fail(one.number, "out of memory")
    study.ledger.complete(two.number, a_summary() | {"accuracy": math.nan})
    assert study.states() == ["FAIL"] * 8
    assert study.ledger.is_finished
    trials = study.trials()
    for number in same[one.number]:
        assert trials[number].error == (
            f"the same training failed as trial {one.number}: out of memory"
        )


def test_a_training_that_failed_is_tried_again_for_a_later_duplicate(driverless: Make) -> None:
    study = driverless(space=NARROW, search={"sampler": "random"}, n_trials=8)
    failed = next_job(study.ledger)
    study.ledger.fail(failed.number, "out of memory")
    numbers = []
    while (job := study.ledger.next_job()) is not None:
        numbers.append(job.number)
        study.ledger.complete(job.number, a_summary())
    assert len(numbers) == 2
    assert study.states().count("COMPLETE") == 7


def test_waiting_duplicates_survive_a_stop(driverless: Make) -> None:
    study = driverless(space=NARROW, search={"sampler": "random"}, n_trials=6)
    next_job(study.ledger)
    next_job(study.ledger)
    assert study.ledger.next_job() is None
    assert study.ledger.queue_unfinished() == [0, 1, 2, 3, 4, 5]
    assert study.states() == ["WAITING"] * 6
    study.restart()
    one, two = next_job(study.ledger), next_job(study.ledger)
    assert study.ledger.next_job() is None
    study.ledger.complete(one.number, a_summary())
    study.ledger.complete(two.number, a_summary())
    assert study.states() == ["COMPLETE"] * 6


def test_orphans_are_adopted_by_number_before_anything_new(driverless: Make) -> None:
    study = driverless(search={"first": [PAPERS]})
    before = [next_job(study.ledger) for _ in range(4)]
    study.ledger.complete(1, a_summary())
    study.ledger.add_epochs(2, [an_epoch(1)])
    study.restart()
    after = [next_job(study.ledger) for _ in range(4)]
    assert [(job.number, job.is_adopted) for job in after] == [
        (0, True),
        (2, True),
        (3, True),
        (4, False),
    ]
    for job in after[:3]:
        assert job.proposal == before[job.number].proposal
        assert job.fingerprint == before[job.number].fingerprint
    trials = study.trials()
    assert [trial.attempts for trial in trials] == [2, 1, 2, 2, 1]
    assert trials[2].epochs_done == 1
    study.ledger.lose(2)
    again = next_job(study.ledger)
    assert (again.number, again.attempt, again.is_adopted) == (2, 3, True)
    assert study.trials()[2].attempts == 3


def test_duplicates_wait_on_for_a_trial_whose_worker_died(driverless: Make) -> None:
    study = driverless(space=NARROW, search={"sampler": "random"}, n_trials=8)
    one, two = next_job(study.ledger), next_job(study.ledger)
    assert study.ledger.next_job() is None
    study.ledger.lose(two.number)
    study.ledger.lose(one.number)
    again = [next_job(study.ledger) for _ in range(2)]
    assert sorted((job.number, job.attempt) for job in again) == [(one.number, 2), (two.number, 2)]
    assert study.ledger.next_job() is None
    for job in again:
        study.ledger.complete(job.number, a_summary())
    assert study.states() == ["COMPLETE"] * 8
    own = [trial.number for trial in study.trials() if trial.reused_from is None]
    assert own == sorted(job.number for job in again)


def test_n_trials_is_a_total_and_a_larger_one_extends(driverless: Make) -> None:
    study = driverless(n_trials=2)
    for _ in range(2):
        study.ledger.complete(next_job(study.ledger).number, a_summary())
    assert study.ledger.next_job() is None
    assert study.ledger.is_finished
    study.restart(3)
    assert not study.ledger.is_finished
    job = next_job(study.ledger)
    assert (job.number, job.is_adopted) == (2, False)
    study.ledger.fail(job.number, "no")
    assert study.ledger.is_finished
    study.restart(1)
    assert study.ledger.is_finished
    assert study.ledger.next_job() is None
    assert len(study.trials()) == 3


def test_an_unfinished_trial_above_the_target_is_finished_all_the_same(driverless: Make) -> None:
    study = driverless(n_trials=3)
    for _ in range(3):
        next_job(study.ledger)
    study.restart(1)
    assert not study.ledger.has_no_more
    for _ in range(3):
        study.ledger.complete(next_job(study.ledger).number, a_summary())
    assert study.ledger.next_job() is None
    assert study.ledger.is_finished


def test_a_stop_with_nothing_unfinished_queues_nothing(driverless: Make) -> None:
    study = driverless(n_trials=1)
    assert study.ledger.queue_unfinished() == []
    study.ledger.complete(next_job(study.ledger).number, a_summary())
    assert study.ledger.queue_unfinished() == []
    assert study.states() == ["COMPLETE"]


# A crash between the two rows, in every order.


def test_optunas_row_without_ours_is_made_up_for(driverless: Make) -> None:
    study = driverless()
    job = next_job(study.ledger)
    other = Driverless(study.url, space=study.spec.space.model_dump(mode="json"))
    space = other.ledger._space
    other.ledger._history.ask(other.ledger._make_sampler(), space.distributions)
    other.close()
    assert (len(study.trials()), len(study.optuna_states())) == (1, 2)
    study.restart()
    assert study.states() == ["RUNNING", "RUNNING"]
    assert [next_job(study.ledger).number for _ in range(2)] == [job.number, 1]


@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.FAIL])
def test_our_finished_row_without_optunas_is_made_up_for(
    driverless: Make, state: TrialState, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = driverless()
    job = next_job(study.ledger)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(study.ledger._history, "tell", killed)

    def finish() -> None:
        if state == TrialState.COMPLETE:
            study.ledger.complete(job.number, a_summary(0.6))
        else:
            study.ledger.fail(job.number, "no")

    with pytest.raises(KeyboardInterrupt):
        finish()
    assert (study.trials()[0].state, study.optuna_states()) == (state, ["RUNNING"])
    study.restart()
    assert study.states() == [state.value]
    if state == TrialState.COMPLETE:
        assert study.optuna_study().trials[0].values[0] == 0.6


@pytest.mark.parametrize(
    ("outside", "inside"), [("COMPLETE", "FAIL"), ("FAIL", "FAIL"), ("PRUNED", "PRUNED")]
)
def test_a_trial_finished_by_other_tools_is_not_trained_on(
    driverless: Make, outside: str, inside: str
) -> None:
    study = driverless(n_trials=2)
    next_job(study.ledger)
    values = [0.5, -1.0] if outside == "COMPLETE" else None
    study.optuna_study().tell(0, values, state=OptunaState[outside])
    study.restart()
    record = study.trials()[0]
    assert record.state.value == inside
    assert record.error == f"finished outside mlgsearch as {outside}"
    assert next_job(study.ledger).number == 1


def test_a_trial_enqueued_by_other_tools_is_failed_and_counted(driverless: Make) -> None:
    study = driverless(n_trials=3, space=NARROW)
    study.ledger.complete(next_job(study.ledger).number, a_summary())
    study.optuna_study().enqueue_trial({"B_in": 1})
    study.restart()
    assert study.states() == ["COMPLETE", "FAIL"]
    assert "outside mlgsearch" in str(study.trials()[1].error)
    while (job := study.ledger.next_job()) is not None:
        study.ledger.complete(job.number, a_summary())
    assert study.ledger.is_finished
    assert len(study.states()) == 3


def test_a_study_whose_optuna_rows_are_gone_is_refused(driverless: Make) -> None:
    study = driverless()
    study.ledger.complete(next_job(study.ledger).number, a_summary())
    study.storage.delete_study(study.storage.get_study_id_from_name("digits"))
    with pytest.raises(StudyConflictError, match="holds 1 trials, but Optuna's tables only 0"):
        study.restart()
    assert [trial.state for trial in study.trials()] == [TrialState.COMPLETE]


def test_a_sampler_that_cannot_be_made_is_told_before_any_work(driverless: Make) -> None:
    with pytest.raises(StudyFileError, match=r"^search\.sampler: no_such_module:f: No module"):
        driverless(search={"sampler": "no_such_module:f"})


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
        self.patch.setattr(delivery, "_FIRST_WAIT_S", 0.0)  # it comes back at once
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
        self.fuse.guard(self.study.store, "put_trial_with_epochs", "check_lease")
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
        with suppress(StudyFailedError):  # told behind the writes
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
        self.fuse.guard(self.study.ledger._history, "reopen")
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
