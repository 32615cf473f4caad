"""Real databases that are away, locked or full while a study runs."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from mlgsearch.errors import LeaseLostError
from mlgsearch.records import TrialState
from mlgsearch.results.database.connection import silence
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.connection.silence import limit_waits
from mlgsearch.results.database.fence import Fence
from mlgsearch.results.database.lease import acquire
from mlgsearch.results.database.store import ResultStore
from mlgsearch.study.search.optuna_storage import open_optuna_storage
from mlgsearch.study.search.trial_rows import TrialRows
from mlgsearch.study.writing.pending import PendingTrial
from tests.black_hole import black_hole
from tests.postgres import Database, own_postgres
from tests.study.driverless import Driverless, a_summary, empty_database
from tests.study.samples import an_epoch

pytestmark = pytest.mark.usefixtures("at_once")

SOMEBODY: dict[str, Any] = {"host": "elsewhere", "pid": 7}


@contextmanager
def locked_sqlite(folder: Path) -> Iterator[Database]:
    (folder / "a.db").write_bytes(empty_database())
    other = sqlite3.connect(folder / "a.db", isolation_level=None, timeout=0)
    yield Database(
        f"sqlite:///{folder}/a.db",
        lambda: other.execute("BEGIN EXCLUSIVE"),
        lambda: other.execute("ROLLBACK"),
    )
    other.close()


@contextmanager
def silent_postgres() -> Iterator[Database]:
    """One that stays connected, and does not answer."""
    with own_postgres() as server, black_hole(server.url) as hole:
        yield Database(hole.url, hole.swallow, hole.release)


@pytest.fixture(params=["postgresql stopped", "postgresql silent", "sqlite locked"])
def database(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Database]:
    monkeypatch.setattr(silence, "_DRIVER_SILENCE_S", 0.3)
    monkeypatch.setattr(silence, "_DRIVER_CONNECT_S", 2)
    makers: dict[str, Callable[[], AbstractContextManager[Database]]] = {
        "postgresql stopped": own_postgres,
        "postgresql silent": silent_postgres,
        "sqlite locked": lambda: locked_sqlite(tmp_path),
    }
    with makers[request.param]() as database:
        yield database


def a_lost_answer() -> OperationalError:
    """What a commit gives that went through though nobody heard of it."""
    cause = sqlite3.OperationalError("disk I/O error")
    cause.sqlite_errorname = "SQLITE_IOERR"
    return OperationalError("COMMIT", {}, cause)


def test_results_wait_in_the_outbox_and_are_delivered_once(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    study = Driverless(database.url, n_trials=5)
    for engine in (study.engine, study.storage.engine):
        limit_waits(engine, 0.01)
    for _ in range(3):
        study.ledger.next_job()
    study.ledger.add_epochs(0, [an_epoch(1)])
    reported = len(study.seen)
    database.take()
    # Training goes on, and what it gives is kept; nothing is reported that the database has not.
    study.ledger.add_epochs(0, [an_epoch(2)])
    study.ledger.add_epochs(0, [an_epoch(3)])
    study.ledger.complete(0, a_summary(0.7))
    study.ledger.fail(1, "it broke")
    study.ledger.add_epochs(2, [an_epoch(1)])
    assert study.ledger.next_job() is None
    assert not study.ledger.deliver()
    assert len(study.seen) == reported
    assert study.ledger.undelivered == 3
    assert [kept.record.number for kept in study.spool.kept()] == [0, 1, 2]
    assert caplog.text.count("the database cannot be written") == 1
    # The driver is killed now; the next one begins when the database is back.
    database.give()
    study.restart()
    assert study.spool.kept() == []
    assert study.states() == ["COMPLETE", "FAIL", "RUNNING"]
    trials = study.trials()
    assert (trials[0].accuracy, trials[0].epochs_done, trials[1].error) == (0.7, 3, "it broke")
    assert trials[0].finished_at is not None
    assert [epoch.epoch for epoch in study.store.epochs("digits", 0)] == [1, 2, 3]
    # Or it lives, and delivers by itself.
    database.take()
    assert study.ledger.next_job() is None
    database.give()
    job = study.ledger.next_job()
    assert job is not None
    assert (job.number, job.attempt) == (2, 2)
    database.take()
    study.ledger.complete(2, a_summary(0.8))
    assert study.ledger.undelivered == 1
    database.give()
    assert study.ledger.deliver()
    assert study.ledger.away is None
    assert study.spool.kept() == []
    assert study.states() == ["COMPLETE", "FAIL", "COMPLETE"]
    assert [trial.attempts for trial in study.trials()] == [1, 1, 2]
    study.close()


def test_a_proposal_that_could_not_be_stored_is_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with locked_sqlite(tmp_path) as database:
        study = Driverless(database.url, n_trials=2, search={"sampler": "random"})
        limit_waits(study.storage.engine, 0.01)
        ask = study.ledger._optuna_trials.ask

        def ask_when_it_is_gone(*arguments: Any) -> FrozenTrial:
            database.take()  # between the look at the database and the proposal
            try:
                return ask(*arguments)
            finally:
                database.give()

        with monkeypatch.context() as patch:
            patch.setattr(study.ledger._optuna_trials, "ask", ask_when_it_is_gone)
            # Optuna tries five times by itself, with waits of up to two seconds.
            patch.setattr("optuna.storages._rdb.storage.time.sleep", lambda _: None)
            assert study.ledger.next_job() is None
        assert study.trials() == []
        job = study.ledger.next_job()
        assert job is not None
        assert (job.number, study.states()) == (0, ["RUNNING"])
        undisturbed = Driverless(database.url, name="other", search={"sampler": "random"})
        other = undisturbed.ledger.next_job()
        assert other is not None
        assert other.proposal == job.proposal
        undisturbed.close()
        study.close()


def test_a_proposal_that_was_stored_though_its_answer_was_lost_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with locked_sqlite(tmp_path) as database:
        study = Driverless(database.url, n_trials=2)
        create = study.storage._create_new_trial

        def create_and_break(*arguments: Any, **options: Any) -> FrozenTrial:
            create(*arguments, **options)
            raise a_lost_answer()

        with monkeypatch.context() as patch:
            patch.setattr(study.storage, "_create_new_trial", create_and_break)
            assert study.ledger.next_job() is None
        assert study.optuna_states() == ["RUNNING"]
        jobs = [study.ledger.next_job() for _ in range(2)]
        assert [job.number for job in jobs if job is not None] == [0, 1]
        assert study.states() == ["RUNNING", "RUNNING"]
        study.close()


def test_what_was_kept_of_a_trial_is_dropped_though_more_came_meanwhile(tmp_path: Path) -> None:
    with locked_sqlite(tmp_path) as database:
        study = Driverless(database.url, n_trials=2)
        limit_waits(study.engine, 0.01)
        study.ledger.next_job()
        database.take()
        study.ledger.add_epochs(0, [an_epoch(1)])
        assert len(study.spool.kept()) == 1
        database.give()
        study.ledger.add_epochs(0, [an_epoch(2)])
        assert study.spool.kept() == []
        assert [epoch.epoch for epoch in study.store.epochs("digits", 0)] == [1, 2]
        study.close()


def test_what_an_earlier_driver_kept_stays_where_the_database_goes_away_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with locked_sqlite(tmp_path) as database:
        study = Driverless(database.url, n_trials=2)
        for engine in (study.engine, study.storage.engine):
            limit_waits(engine, 0.01)
        study.ledger.next_job()
        database.take()
        study.ledger.complete(0, a_summary(0.7))
        database.give()
        kept = study.spool.kept()
        write = TrialRows._write

        def write_when_it_is_gone(*arguments: Any) -> None:
            database.take()
            try:
                write(*arguments)
            finally:
                database.give()

        with monkeypatch.context() as patch:
            patch.setattr(TrialRows, "_write", write_when_it_is_gone)
            study.restart()
        assert study.states() == ["RUNNING"]
        assert study.spool.kept() == kept  # also where this driver is killed now
        study.restart()
        assert study.states() == ["COMPLETE"]
        assert study.spool.kept() == []
        study.close()


def test_what_an_earlier_driver_kept_is_not_delivered_where_the_study_went_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with locked_sqlite(tmp_path) as database:
        study = Driverless(database.url, n_trials=3)
        job = study.ledger.next_job()
        assert job is not None
        late = study.trials()[0]
        study.restart()  # elsewhere, where the spool is not
        assert study.ledger.next_job() is not None
        study.ledger.add_epochs(0, [an_epoch(1), an_epoch(2)])
        study.spool.keep(PendingTrial(late, (an_epoch(1, accuracy=0.1),)))
        study.spool.keep(PendingTrial(replace(late, number=2)))  # that number is free again
        study.restart()
        for number in (0, 2):
            said = f"trial {number}: what an earlier driver kept is outdated"
            assert said in caplog.text
        assert study.store.epochs("digits", 0)[0].validation_accuracy == 0.8
        assert study.spool.kept() == []
        study.close()


def test_a_full_database_is_an_outage_until_there_is_room(tmp_path: Path) -> None:
    """SQLite's own limit on its pages says just what a full disk does."""
    with locked_sqlite(tmp_path) as database:
        study = Driverless(database.url, n_trials=4)
        for number in range(2):
            assert study.ledger.next_job() is not None, number
        with study.engine.connect() as connection:
            pages = connection.execute(text("PRAGMA page_count")).scalar_one()

        def limit(pages: int) -> None:
            for engine in (study.engine, study.storage.engine):
                with engine.connect() as connection:
                    connection.execute(text(f"PRAGMA max_page_count = {pages}"))

        limit(pages)
        epochs = [an_epoch(number) for number in range(1, 400)]
        study.ledger.add_epochs(0, epochs)
        assert study.ledger.away is not None
        assert "its disk is full" in study.ledger.away
        assert study.store.epochs("digits", 0) == []  # nothing of it, rather than half
        limit(2**30)
        assert study.ledger.deliver()
        assert study.store.epochs("digits", 0) == epochs
        study.close()


def test_every_page_may_find_the_disk_full_and_nothing_half_is_stored(tmp_path: Path) -> None:
    """The n-th page that results need has no room, for every n; then there is room for one more."""
    with locked_sqlite(tmp_path) as database:
        study = Driverless(database.url, n_trials=2)
        for _ in range(2):
            study.ledger.next_job()
        epochs = [an_epoch(number) for number in range(1, 400)]
        error = "it broke " * 2000
        for act in (
            lambda: study.ledger.add_epochs(0, epochs),
            lambda: study.ledger.fail(1, error),
        ):
            tries = 0
            with study.engine.connect() as connection:
                pages = connection.execute(text("PRAGMA page_count")).scalar_one()
            while tries == 0 or study.ledger.away is not None:
                for engine in (study.engine, study.storage.engine):
                    with engine.connect() as connection:
                        connection.execute(text(f"PRAGMA max_page_count = {pages + tries}"))
                if tries == 0:
                    act()
                else:
                    study.ledger.deliver()
                tries += 1
                assert study.store.epochs("digits", 0) in ([], epochs)
                record = study.trials()[1]
                assert (record.state, record.error) in (
                    (TrialState.RUNNING, None),
                    (TrialState.FAIL, error),
                )
            assert tries > 3
        assert study.store.epochs("digits", 0) == epochs
        assert study.states() == ["RUNNING", "FAIL"]
        assert study.spool.kept() == []
        study.close()


def test_nobody_takes_the_lease_between_a_look_at_it_and_optunas_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with locked_sqlite(tmp_path) as database:
        study = Driverless(database.url, n_trials=3)
        study.hold(acquire(study.engine, "digits", holder="anna", ttl_s=0, **SOMEBODY))
        study.ledger.next_job()
        check, are_locked = Fence.check, []

        def check_and_try_to_write(*arguments: Any) -> int:
            study_id = check(*arguments)
            try:
                database.take()
                database.give()
                are_locked.append(False)
            except sqlite3.OperationalError:
                are_locked.append(True)
            return study_id

        monkeypatch.setattr(Fence, "check", check_and_try_to_write)
        history = study.ledger._optuna_trials
        writes: list[Callable[[], object]] = [
            lambda: history.set_note(0, "error", "late"),
            lambda: history.queue(0),
            lambda: history.start(0),
            lambda: history.tell(0, OptunaState.PRUNED),
            lambda: history.reopen(0),
            lambda: history.ask(RandomSampler(seed=0), study.ledger._space.distributions),
        ]
        for write in writes:
            are_locked.clear()
            write()
            assert are_locked[-1]
        study.close()


def test_a_note_on_a_trial_whose_end_was_stored_though_its_answer_was_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with locked_sqlite(tmp_path) as database:
        study = Driverless(database.url, n_trials=2)
        study.ledger.next_job()
        finish = study.storage.set_trial_state_values

        def finish_and_break(*arguments: Any) -> None:
            finish(*arguments)
            raise a_lost_answer()

        with monkeypatch.context() as patch:
            patch.setattr(study.storage, "set_trial_state_values", finish_and_break)
            study.ledger.fail(0, "it broke")
        assert study.ledger.undelivered == 1
        assert study.ledger.deliver()
        assert study.states() == ["FAIL"]
        study.close()


def test_optunas_rows_are_fenced_as_well(tmp_path: Path) -> None:
    with locked_sqlite(tmp_path) as database:
        study = Driverless(database.url, n_trials=3)
        old = acquire(study.engine, "digits", holder="anna", ttl_s=0, **SOMEBODY)
        study.hold(old)
        job = study.ledger.next_job()
        assert job is not None
        acquire(study.engine, "digits", holder="bert", ttl_s=0, **SOMEBODY)
        history = study.ledger._optuna_trials
        writes: list[Callable[[], object]] = [
            lambda: history.set_note(0, "error", "late"),
            lambda: history.queue(0),
            lambda: history.tell(0, OptunaState.FAIL),
            lambda: history.reopen(0),
            study.ledger.next_job,
        ]
        for write in writes:
            with pytest.raises(LeaseLostError, match=r"anna .* lost the lease"):
                write()
        engine = open_engine(database.url)
        assert [t.state for t in ResultStore(engine).trials("digits")] == [TrialState.RUNNING]
        untouched = open_optuna_storage(engine)
        (stored,) = optuna.load_study(study_name="digits", storage=untouched).trials
        untouched.engine.dispose()
        engine.dispose()
        assert (stored.state.name, stored.user_attrs) == ("RUNNING", {})
        study.close()
