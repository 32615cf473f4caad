"""Readers in line behind one that waits for a database."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from sqlalchemy.exc import OperationalError

from mlgsearch.errors import StorageError, StudyNotFoundError
from mlgsearch.results.read.read_lock import ReadLock

LOCKED = OperationalError("SELECT 1", {}, Exception("database is locked"))


class Line:
    """Readers behind one that holds the lock until it is let go, with an error or none."""

    def __init__(self, pool: ThreadPoolExecutor, lock: ReadLock):
        self.reads = 0
        self._pool = pool
        self._lock = lock
        self._holds, self._ends = threading.Event(), threading.Event()

    def hold(self, error: Exception | None) -> "Future[None]":
        held = self._pool.submit(self._hold, error)
        assert self._holds.wait(20)
        return held

    def _hold(self, error: Exception | None) -> None:
        with self._lock:
            self._holds.set()
            assert self._ends.wait(20)
            if error is not None:
                raise error

    def let_go(self) -> None:
        self._ends.set()

    def read(self) -> None:
        with self._lock:
            self.reads += 1


@pytest.mark.parametrize("error", [LOCKED, StorageError("the file is gone")])
def test_those_that_wait_fail_with_the_one_they_wait_for(error: Exception) -> None:
    lock = ReadLock()
    with ThreadPoolExecutor(4) as pool:
        line = Line(pool, lock)
        first = line.hold(error)
        waiting = [pool.submit(line.read) for _ in range(3)]
        line.let_go()
        for reader in (first, *waiting):
            found = reader.exception(20)
            # One that comes once it is over tries by itself.
            assert found is None or (type(found), str(found)) == (type(error), str(error))
        assert isinstance(first.exception(), type(error))
    line.read()


def test_who_comes_while_the_next_one_tries_fails_at_once() -> None:
    lock = ReadLock()
    with pytest.raises(OperationalError), lock:
        raise LOCKED
    with ThreadPoolExecutor(1) as pool:
        line = Line(pool, lock)
        trying = line.hold(None)
        with pytest.raises(OperationalError, match="database is locked"):
            line.read()
        line.let_go()
        trying.result(20)
    line.read()
    assert line.reads == 1


@pytest.mark.parametrize("error", [None, StudyNotFoundError("no study 'x'")])
def test_what_is_no_trouble_of_the_databases_is_nobody_elses(error: Exception | None) -> None:
    with ThreadPoolExecutor(4) as pool:
        line = Line(pool, ReadLock())
        first = line.hold(error)
        waiting = [pool.submit(line.read) for _ in range(3)]
        line.let_go()
        for reader in waiting:
            reader.result(20)
        assert first.exception(20) is error
    assert line.reads == 3
