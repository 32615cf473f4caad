"""A lease that is renewed by a thread, on a real database."""

import logging
import shutil
import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from mlgsearch.errors import LeaseLostError
from mlgsearch.records import LeaseRecord
from mlgsearch.results.database import lease as leases
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.store import ResultStore
from mlgsearch.study.writing import lease_keeper
from mlgsearch.study.writing.lease_keeper import LeaseKeeper
from tests.results.leases import current
from tests.results.samples import a_study
from tests.study.driverless import empty_database


class Renewals:
    """Stands before the renewal: the first ones fail, and one may await the next that succeeds."""

    def __init__(self, failing: int):
        self._renew = leases.renew
        self._failing = failing
        self.tried = 0
        self.renewed = threading.Event()

    def __call__(self, engine: Engine, lease: LeaseRecord, *, ttl_s: float) -> LeaseRecord:
        self.tried += 1
        if self.tried <= self._failing:
            raise OperationalError("UPDATE", {}, Exception("database is locked"))
        renewed = self._renew(engine, lease, ttl_s=ttl_s)
        self.renewed.set()
        return renewed


def test_what_the_driver_waits_for_is_stored_with_a_renewal(
    engine: Engine, store: ResultStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create_study(a_study())
    renewals = Renewals(failing=0)
    monkeypatch.setattr(leases, "renew", renewals)
    monkeypatch.setattr(lease_keeper, "_RENEW_S", 0.01)
    with LeaseKeeper(engine, "digits") as keeper:
        keeper.waits_for = "a node"
        for _ in range(2):  # the first may have begun before
            renewals.renewed.clear()
            assert renewals.renewed.wait(timeout=60)
        found = current(engine, "digits")
    assert found is not None
    assert found.waits_for == "a node"


@pytest.mark.parametrize(("ttl_s", "is_reported"), [(30.0, False), (0.0, True)])
def test_a_renewal_that_finds_the_database_busy_is_tried_again_soon(
    engine: Engine,
    store: ResultStore,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    ttl_s: float,
    is_reported: bool,
) -> None:
    store.create_study(a_study())
    renewals = Renewals(failing=3)
    monkeypatch.setattr(leases, "renew", renewals)
    monkeypatch.setattr(lease_keeper, "TTL_S", ttl_s)
    monkeypatch.setattr(lease_keeper, "_RENEW_S", 0.01)
    monkeypatch.setattr(lease_keeper, "_RETRY_S", 0.01)
    with caplog.at_level(logging.WARNING), LeaseKeeper(engine, "digits") as keeper:
        assert renewals.renewed.wait(timeout=60)
        assert keeper.lost is None
    reported = [record.getMessage() for record in caplog.records]
    assert ("the lease of digits has run out: database is locked" in reported) is is_reported


def test_a_lease_that_another_driver_took_is_known_to_be_lost(
    engine: Engine, store: ResultStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create_study(a_study())
    is_lost = threading.Event()

    def lose(engine: Engine, lease: LeaseRecord, *, ttl_s: float) -> LeaseRecord:
        is_lost.set()
        raise LeaseLostError("bert has it")

    monkeypatch.setattr(leases, "renew", lose)
    monkeypatch.setattr(lease_keeper, "_RENEW_S", 0.01)
    with LeaseKeeper(engine, "digits") as keeper:
        assert is_lost.wait(timeout=60)
    assert keeper.lost == "bert has it"


@pytest.mark.parametrize(
    ("is_put_back", "said"), [(False, "is gone: the study digits stopped"), (True, "was replaced")]
)
def test_a_file_that_is_moved_away_is_a_lost_lease(
    is_put_back: bool, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(empty_database())
    engine = open_engine(f"sqlite:///{path}")
    ResultStore(engine).create_study(a_study())
    monkeypatch.setattr(lease_keeper, "_RENEW_S", 0.05)
    with LeaseKeeper(engine, "digits") as keeper:
        path.rename(tmp_path / "away.db")
        if is_put_back:
            shutil.copy(tmp_path / "away.db", path)
        keeper._thread.join(timeout=60)
        assert keeper.lost is not None
        assert f"the database file {path} " in keeper.lost
        assert said in keeper.lost
    engine.dispose()


def test_a_lease_that_ran_out_is_told_of_once(
    engine: Engine,
    store: ResultStore,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    store.create_study(a_study())
    renewals = Renewals(failing=20)
    monkeypatch.setattr(leases, "renew", renewals)
    monkeypatch.setattr(lease_keeper, "TTL_S", 0.0)
    monkeypatch.setattr(lease_keeper, "_RENEW_S", 0.01)
    monkeypatch.setattr(lease_keeper, "_RETRY_S", 0.01)
    with caplog.at_level(logging.WARNING), LeaseKeeper(engine, "digits"):
        assert renewals.renewed.wait(timeout=60)
    assert len([r for r in caplog.records if "has run out" in r.getMessage()]) == 1
