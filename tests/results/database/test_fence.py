"""Who lost a study's lease writes nothing more, on every database."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine

from mlgsearch.errors import LeaseLostError
from mlgsearch.results.database.lease import acquire
from mlgsearch.results.database.store import ResultStore
from mlgsearch.results.database.verification_store import VerificationStore
from tests.results.samples import a_study, a_trial, a_verification, an_epoch, begin_run

#: Every way to write to study "digits", which has trial 0.
WRITES: dict[str, Callable[[ResultStore], object]] = {
    "begin_run": lambda store: begin_run(store, content={}, n_trials=9, teacher_hash="f00d"),
    "set_ended": lambda store: store.set_ended("digits", 1, "enough"),
    "set_data": lambda store: store.set_data("digits", "f00d", 269),
    "accept_change": lambda store: store.accept_change(
        "digits", ["more"], content={}, content_hash="c0de", source="", versions={}
    ),
    "set_network": lambda store: store.set_network("digits", [], []),
    "set_teacher_test_accuracy": lambda store: store.set_teacher_test_accuracy("digits", 0.5),
    "check_lease": lambda store: store.check_lease("digits"),
    "put_trial": lambda store: store.put_trial("digits", a_trial(1), [an_epoch(1)]),
    "delete_study": lambda store: store.delete_study("digits"),
}
READS = {
    *("study", "studies", "trials", "trial", "epochs", "accuracies", "state_counts"),
    *("last_activity", "each_trial"),
}
ELSEWHERE: dict[str, Any] = {"host": "elsewhere", "pid": 7}


def test_no_write_was_forgotten() -> None:
    public = {name for name in vars(ResultStore) if not name.startswith("_")}
    assert public == {*WRITES, *READS, "create_study"}  # which nobody drives yet


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_driver_that_lost_its_lease_writes_nothing_more(
    engine: Engine, store: ResultStore, write: Callable[[ResultStore], object]
) -> None:
    store.create_study(a_study())
    store.put_trial("digits", a_trial(0))
    old = acquire(engine, "digits", holder="anna", ttl_s=0, **ELSEWHERE)
    stale = ResultStore(engine, old)
    begin_run(stale, n_trials=9)  # a lease that ran out but went to nobody is still good
    before = (store.study("digits"), store.last_activity("digits"))
    new = acquire(engine, "digits", holder="bert", **ELSEWHERE)
    with pytest.raises(LeaseLostError, match=r"anna .* token is 1.* bert .* token 2"):
        write(stale)
    # Who never had a lease is refused as well, as long as somebody has one.
    with pytest.raises(LeaseLostError, match="is driven by bert"):
        write(store)
    assert (store.study("digits"), store.last_activity("digits")) == before
    write(ResultStore(engine, new))


def test_nor_does_it_verify(engine: Engine, store: ResultStore) -> None:
    store.create_study(a_study())
    store.put_trial("digits", a_trial(0))
    old = acquire(engine, "digits", holder="anna", ttl_s=0, **ELSEWHERE)
    VerificationStore(engine, old).put("digits", a_verification(0, 1))
    new = acquire(engine, "digits", holder="bert", **ELSEWHERE)
    for lease in (old, None):
        with pytest.raises(LeaseLostError):
            VerificationStore(engine, lease).put("digits", a_verification(0, 2))
    VerificationStore(engine, new).put("digits", a_verification(0, 3))
    seeds = [run.seed for run in VerificationStore(engine).verifications("digits")]
    assert seeds == [1, 3]


# SQLite lets one writer in at a time, so nobody can take the lease during a write.
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_lease_does_not_change_hands_between_a_check_and_its_commit(
    engine: Engine, store: ResultStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create_study(a_study())
    old = acquire(engine, "digits", holder="anna", ttl_s=0, **ELSEWHERE)
    is_checked, may_go_on = threading.Event(), threading.Event()

    def held(connection: object) -> datetime:
        is_checked.set()
        assert may_go_on.wait(30)
        return datetime.now(UTC)

    monkeypatch.setattr("mlgsearch.results.database.store.database_now", held)
    late = ResultStore(engine, old)
    with ThreadPoolExecutor(2) as threads:
        writing = threads.submit(late.put_trial, "digits", a_trial(0))
        assert is_checked.wait(30)
        taking = threads.submit(acquire, engine, "digits", holder="bert", **ELSEWHERE)
        with pytest.raises(TimeoutError):
            taking.result(timeout=0.3)
        may_go_on.set()
        writing.result(30)
        assert taking.result(30).token == 2
    with pytest.raises(LeaseLostError):
        late.put_trial("digits", a_trial(0))
