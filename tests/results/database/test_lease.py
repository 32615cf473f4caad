"""One driver at a time, with real processes."""

import multiprocessing
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, update
from sqlalchemy.dialects import mysql

from mlgsearch.errors import StudyConflictError, StudyNotFoundError
from mlgsearch.process_identity import is_gone, process_identity
from mlgsearch.records import LeaseRecord
from mlgsearch.results.database import lease as lease_module
from mlgsearch.results.database.clock import DatabaseClock
from mlgsearch.results.database.lease import acquire, release, renew
from mlgsearch.results.database.store import ResultStore
from mlgsearch.results.database.tables import lease_table
from tests.results.leases import current
from tests.results.processes import race as race_for_the_lease
from tests.results.samples import a_study

HOST = socket.gethostname()


@pytest.fixture
def take(store: ResultStore, engine: Engine) -> Callable[..., LeaseRecord]:
    """Acquire the lease of study "digits"; the holder is by default this test's process."""
    store.create_study(a_study())

    def take(holder: str, **changes: Any) -> LeaseRecord:
        own: dict[str, Any] = {"host": HOST, "pid": os.getpid(), "process": process_identity()}
        return acquire(engine, "digits", holder=holder, **(own | changes))

    return take


def _run_out(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            update(lease_table).values(expires_unix_s=lease_table.c.expires_unix_s - 3600)
        )


def test_the_first_gets_it_for_its_time(engine: Engine, take: Callable[..., LeaseRecord]) -> None:
    assert current(engine, "digits") is None
    lease = take("anna", ttl_s=50)
    assert (lease.study, lease.holder, lease.host, lease.pid) == (
        "digits",
        "anna",
        HOST,
        os.getpid(),
    )
    assert lease.token == 1
    assert abs(lease.expires_at - lease.acquired_at - timedelta(seconds=50)) < timedelta(seconds=1)
    assert abs(lease.acquired_at - datetime.now(UTC)) < timedelta(seconds=30)
    assert current(engine, "digits") == lease


def test_the_second_is_told_who_holds_it(take: Callable[..., LeaseRecord]) -> None:
    take("anna")
    with pytest.raises(
        StudyConflictError,
        match=rf"'digits' is driven by anna \(process {os.getpid()} on {HOST}\) since \d+ s; stop",
    ):
        take("bert")


def test_studies_are_leased_apart(
    store: ResultStore, engine: Engine, take: Callable[..., LeaseRecord]
) -> None:
    take("anna")
    store.create_study(a_study("other"))
    other = acquire(engine, "other", holder="bert", host=HOST, pid=1)
    assert other.token == 1


def test_renewing_moves_the_end_on(engine: Engine, take: Callable[..., LeaseRecord]) -> None:
    lease = take("anna", ttl_s=5)
    renewed = renew(engine, lease, ttl_s=500)
    assert renewed.expires_at > lease.expires_at + timedelta(seconds=400)
    assert replace(renewed, expires_at=lease.expires_at) == lease
    assert current(engine, "digits") == renewed


def test_what_a_driver_waits_for_is_stored_until_it_goes_on_or_another_drives(
    engine: Engine, take: Callable[..., LeaseRecord]
) -> None:
    lease = take("anna")
    assert lease.waits_for == ""
    assert renew(engine, replace(lease, waits_for="a node")).waits_for == "a node"
    assert renew(engine, lease).waits_for == ""
    renew(engine, replace(lease, waits_for="a node"))
    release(engine, lease)
    assert take("bert").waits_for == ""


def test_a_released_lease_is_free_and_cannot_be_renewed(
    engine: Engine, take: Callable[..., LeaseRecord]
) -> None:
    lease = take("anna")
    release(engine, lease)
    assert current(engine, "digits") is None
    with pytest.raises(StudyConflictError, match=r"anna lost its lease: .* was released"):
        renew(engine, lease)
    assert take("bert").token == 2


def test_a_lease_that_ran_out_is_taken_over(
    engine: Engine, take: Callable[..., LeaseRecord]
) -> None:
    lease = take("anna")
    _run_out(engine)
    assert current(engine, "digits") is None
    taken = take("bert")
    assert taken.token == lease.token + 1
    with pytest.raises(StudyConflictError, match=r"anna lost its lease: .* driven by bert"):
        renew(engine, lease)
    release(engine, lease)
    assert current(engine, "digits") == taken


def test_a_lease_that_ran_out_unnoticed_may_be_renewed(
    engine: Engine, take: Callable[..., LeaseRecord]
) -> None:
    lease = take("anna")
    _run_out(engine)
    assert renew(engine, lease).token == lease.token
    with pytest.raises(StudyConflictError):
        take("bert")


#: Says who it is, and lives until its input ends.
SAY = "from mlgsearch.process_identity import process_identity as i; print(i()); input()"


def start_another() -> tuple[subprocess.Popen[str], dict[str, Any]]:
    """Start a process; return it and what a lease of its would say of it."""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", SAY], **pipes, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    return process, {"pid": process.pid, "process": process.stdout.readline().strip()}


def test_a_dead_process_of_this_host_loses_it_at_once(take: Callable[..., LeaseRecord]) -> None:
    process, itself = start_another()
    take("anna", **itself)
    with pytest.raises(StudyConflictError):
        take("bert")
    process.communicate()
    assert take("bert").token == 2


def test_a_zombie_is_dead(take: Callable[..., LeaseRecord]) -> None:
    process, itself = start_another()
    take("anna", **itself)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert take("bert").token == 2
    process.communicate()


def test_a_later_process_of_the_same_number_is_another(take: Callable[..., LeaseRecord]) -> None:
    *place, ticks = process_identity().split()
    take("anna", process=" ".join([*place, str(int(ticks) - 1)]))
    assert take("bert").token == 2


@pytest.mark.parametrize("changed", [0, 1, 2])
def test_a_process_of_another_boot_or_namespace_is_never_judged(
    take: Callable[..., LeaseRecord], changed: int
) -> None:
    words = process_identity().split()
    words[changed] = "another"
    take("anna", pid=2**22 + 1, process=" ".join(words))
    with pytest.raises(StudyConflictError):
        take("bert")


def test_a_lease_of_an_earlier_version_must_run_out(
    engine: Engine, take: Callable[..., LeaseRecord]
) -> None:
    take("anna", pid=2**22 + 1)
    with engine.begin() as connection:
        connection.execute(update(lease_table).values(process=None, pid_started=1.7e9))
    with pytest.raises(StudyConflictError):
        take("bert")
    _run_out(engine)
    assert take("bert").token == 2


def test_processes_of_another_host_are_never_judged(take: Callable[..., LeaseRecord]) -> None:
    take("anna", host="elsewhere", pid=2**22 + 1)
    with pytest.raises(StudyConflictError, match="on elsewhere"):
        take("bert")


def test_a_deleted_study_ends_its_lease(engine: Engine, take: Callable[..., LeaseRecord]) -> None:
    lease = take("anna")
    ResultStore(engine, lease).delete_study("digits")
    with pytest.raises(StudyConflictError, match="study 'digits' was deleted"):
        renew(engine, lease)
    release(engine, lease)
    with pytest.raises(StudyNotFoundError):
        take("bert")
    assert current(engine, "digits") is None


# SQLite takes its write lock before the look, so there nobody can look at the same time.
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_of_several_who_saw_it_free_one_gets_it(
    engine: Engine, take: Callable[..., LeaseRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hold every thread between its look and its taking, where a read-then-write goes wrong."""
    all_looked = threading.Barrier(4)
    look = is_gone

    def look_and_wait(pid: int, process: str) -> bool:
        all_looked.wait(timeout=30)
        return look(pid, process)

    take("dead", pid=2**22 + 1)
    monkeypatch.setattr(lease_module, "is_gone", look_and_wait)
    outcomes: list[str] = []

    def race(holder: str) -> None:
        try:
            outcomes.append(take(holder).holder)
        except StudyConflictError:
            outcomes.append("lost")

    threads = [threading.Thread(target=race, args=(f"t{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winner = current(engine, "digits")
    assert winner is not None
    assert winner.token == 2
    assert sorted(outcomes) == sorted(["lost"] * 3 + [winner.holder])


def test_of_racing_processes_exactly_one_wins(store: ResultStore, database_url: str) -> None:
    store.create_study(a_study())
    context = multiprocessing.get_context("spawn")
    start, outcomes = context.Barrier(3), context.SimpleQueue()
    racers = [
        context.Process(target=race_for_the_lease, args=(database_url, f"p{n}", start, outcomes))
        for n in range(3)
    ]
    for racer in racers:
        racer.start()
    got = [outcomes.get() for _ in range(15)]
    for racer in racers:
        racer.join()
    assert [token for _, token in got if token is not None] == [1]


def test_mysql_has_a_clock() -> None:
    clock = DatabaseClock()
    assert "utc_timestamp(6)" in str(clock.compile(dialect=mysql.dialect()))
