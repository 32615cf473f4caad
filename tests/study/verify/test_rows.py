"""The rows of `verify` on real databases that are away, or its disk full."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from mlgsearch.errors import LeaseLostError
from mlgsearch.records import LeaseRecord, TrialState, VerificationRecord
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.connection.silence import limit_waits
from mlgsearch.results.database.lease import acquire
from mlgsearch.results.database.migrate import upgrade
from mlgsearch.results.database.store import ResultStore
from mlgsearch.results.database.verification_store import VerificationStore
from mlgsearch.study.verify.rows import VerifyRows
from mlgsearch.study.verify.task import VerifyTask
from mlgsearch.study.writing.pending import PendingVerification
from mlgsearch.study.writing.spool import Spool
from tests.chaos.database import ChaosDatabase, open_database
from tests.full_disk import full_disk
from tests.results.samples import a_complete, a_study, a_verification

pytestmark = pytest.mark.usefixtures("at_once")

TASKS = [VerifyTask(0, seed, 10, {}, {}) for seed in (1, 2, 3)]


class Calls:
    """A study with a COMPLETE trial; each `call` is one of `verify`, after the one before died."""

    def __init__(self, database: ChaosDatabase, folder: Path):
        self.database = database
        self.engine: Engine = open_engine(database.url)
        upgrade(self.engine)
        limit_waits(self.engine, 0.01)
        store = ResultStore(self.engine)
        store.create_study(a_study())
        store.put_trial("digits", a_complete(0, 0.9, 0.05))
        self.spool = Spool(folder / "outbox", PendingVerification)
        self.reported: list[VerificationRecord] = []

    def call(self) -> VerifyRows:
        store = VerificationStore(self.engine, self.lease())
        rows = VerifyRows("digits", store, self.spool, self.reported.append)
        rows.want(TASKS)
        return rows

    def lease(self) -> LeaseRecord:
        options = {"host": "elsewhere", "pid": 7, "ttl_s": 0}
        return acquire(self.engine, "digits", holder="anna", **options)  # type: ignore[arg-type]

    def stored(self) -> list[tuple[int, str, int]]:
        found = VerificationStore(self.engine).verifications("digits")
        return [(run.seed, run.state.value, run.epochs_done) for run in found]


@pytest.fixture
def calls(request: pytest.FixtureRequest) -> Iterator[Calls]:
    # Not pytest's tmp_path: only its owner may enter that, and the server is another user.
    with (
        tempfile.TemporaryDirectory(prefix="mlg-verify-") as name,
        open_database(getattr(request, "param", "sqlite"), Path(name)) as database,
    ):
        calls = Calls(database, Path(name))
        yield calls
        calls.engine.dispose()


def running(seed: int, epochs_done: int) -> VerificationRecord:
    return TASKS[seed - 1].record(TrialState.RUNNING, epochs_done, validation_accuracy=0.5)


@pytest.mark.parametrize("calls", ["sqlite", "postgresql"], indirect=True)
def test_results_wait_in_the_outbox_and_are_told_once(calls: Calls) -> None:
    rows = calls.call()
    rows.report(running(1, 0))
    rows.report(running(1, 1))
    with calls.database.away():
        rows.report(running(1, 9))
        rows.report(a_verification(0, 1))
        rows.report(running(2, 0))
        rows.report(running(2, 4))
        assert not rows.retry_queue.flush()
        assert [run.epochs_done for run in calls.reported] == [0, 1]
        assert [kept.record.seed for kept in calls.spool.kept()] == [1, 2]
    assert rows.retry_queue.flush()
    assert [(run.seed, run.epochs_done) for run in calls.reported[2:]] == [(1, 10), (2, 4)]
    assert calls.spool.kept() == []
    assert calls.stored() == [(1, "COMPLETE", 10), (2, "RUNNING", 4)]
    # A training that begins again knows how far it came.
    rows.report(running(2, 0))
    assert calls.stored()[1] == (2, "RUNNING", 4)


def test_a_later_call_delivers_what_one_that_was_killed_could_not(calls: Calls) -> None:
    rows = calls.call()
    rows.report(running(2, 3))
    with calls.database.away():
        rows.report(a_verification(0, 1))
        rows.report(running(2, 7))
        rows.queue_unfinished()
    reported = len(calls.reported)
    rows = calls.call()
    assert calls.spool.kept() == []
    assert calls.stored() == [(1, "COMPLETE", 10), (2, "WAITING", 7)]
    assert [run.seed for run in calls.reported[reported:]] == [1]
    assert [task.seed for task in rows.want(TASKS)] == [2, 3]
    assert rows.wanted[TASKS[1].key].epochs_done == 7


def test_what_a_later_call_overtook_is_not_delivered(
    calls: Calls, caplog: pytest.LogCaptureFixture
) -> None:
    rows = calls.call()
    rows.report(a_verification(0, 1, test_accuracy=0.9))
    rows.report(running(2, 5))
    for late in (a_verification(0, 1, test_accuracy=0.1), running(2, 4)):
        calls.spool.keep(PendingVerification(late))
    calls.call()
    assert calls.stored() == [(1, "COMPLETE", 10), (2, "WAITING", 5)]
    assert caplog.text.count("what an earlier call kept is outdated") == 2
    assert calls.spool.kept() == []
    (first, _) = VerificationStore(calls.engine).verifications("digits")
    assert first.test_accuracy == 0.9


def test_a_call_that_lost_its_lease_writes_nothing(calls: Calls) -> None:
    rows = calls.call()
    rows.report(running(1, 1))
    calls.lease()
    with pytest.raises(LeaseLostError, match=r"anna .* lost the lease"):
        rows.report(a_verification(0, 1))
    assert calls.stored() == [(1, "RUNNING", 1)]


def test_with_no_room_for_the_outbox_either_results_wait_in_memory(calls: Calls) -> None:
    rows = calls.call()
    with calls.database.away():
        failed = 0
        while True:
            with full_disk(failed + 1) as disk:
                rows.report(replace(a_verification(0, 1), epochs_done=failed))
            if not disk.is_full:
                break
            failed += 1
            assert all(kept.record.epochs_done < failed for kept in calls.spool.kept())
        assert failed >= 2
        assert [kept.record.epochs_done for kept in calls.spool.kept()] == [failed]
    assert rows.retry_queue.flush()
    assert calls.stored() == [(1, "COMPLETE", failed)]
