"""The moments that a store gives, on every database: by the database's clock, and ever later."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo

import pytest
from sqlalchemy import Engine, select

from mlgsearch.records import TrialState
from mlgsearch.results.database.store import ResultStore
from mlgsearch.results.database.tables import trial_table
from tests.results.samples import a_complete, a_study, a_trial, an_epoch, begin_run


def test_every_write_moves_updated_at_on(store: ResultStore, engine: Engine) -> None:
    store.create_study(a_study())
    moments = [store.last_activity("digits")]
    writes: tuple[Callable[[], object], ...] = (
        lambda: store.put_trial("digits", a_trial(0)),
        lambda: store.put_trial("digits", a_trial(1)),
        lambda: store.put_trial("digits", a_trial(0), [an_epoch(1)]),
        lambda: begin_run(store, n_trials=9),
    )
    for write in writes:
        write()
        moments.append(store.last_activity("digits"))
    assert moments == sorted(set(moments))
    with engine.connect() as connection:
        rows = connection.execute(select(trial_table.c.number, trial_table.c.updated_at))
        updated = {number: moment for number, moment in rows}  # noqa: C416
    assert (updated[1], updated[0]) == (moments[2], moments[3])


def test_updated_at_moves_on_when_the_clock_stands(
    store: ResultStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    monkeypatch.setattr("mlgsearch.results.database.store.database_now", lambda _: moment)
    store.create_study(a_study())
    first = store.last_activity("digits")
    store.put_trial("digits", a_trial(0))
    assert store.last_activity("digits") == first + timedelta(microseconds=1)


def test_updated_at_moves_on_where_the_clock_was_set_back(
    store: ResultStore, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create_study(a_study())
    for number in (0, 1):
        store.put_trial("digits", a_trial(number))
    behind = datetime(2026, 1, 1, tzinfo=UTC)
    monkeypatch.setattr("mlgsearch.results.database.store.database_now", lambda _: behind)
    writes: tuple[Callable[[ResultStore], object], ...] = (
        lambda store: store.put_trial("digits", a_trial(0, state=TrialState.FAIL)),
        lambda store: store.put_trial("digits", a_trial(1), [an_epoch(1)]),
        lambda store: begin_run(store, n_trials=9),
    )
    for write in writes:
        before = store.last_activity("digits")
        write(ResultStore(engine))
        assert store.last_activity("digits") > before


def test_moments_are_by_the_databases_clock(
    store: ResultStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class AnHourOff(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "AnHourOff":
            return cls.fromtimestamp(time.time() + 3600, tz)

    for module in ("store", "column_types", "lease"):
        monkeypatch.setattr(f"mlgsearch.results.database.{module}.datetime", AnHourOff)
    store.create_study(a_study())
    record = store.put_trial("digits", a_complete(0, 0.9, 0.1), [])
    stored = store.trial("digits", 0)
    assert (record.created_at, record.finished_at) == (stored.created_at, stored.finished_at)
    for moment in (record.created_at, record.finished_at, store.study("digits").created_at):
        assert moment is not None
        assert abs(moment.timestamp() - time.time()) < 60
