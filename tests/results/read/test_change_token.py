"""A text that changes with a study, on every database."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import Engine

from mlgsearch.results.database import lease
from mlgsearch.results.database.store import ResultStore
from mlgsearch.results.database.verification_store import VerificationStore
from mlgsearch.results.read.change_token import change_token
from tests.results.samples import a_complete, a_study, a_trial, a_verification, an_epoch, begin_run

CHANGES: dict[str, Callable[[ResultStore, Engine], object]] = {
    "trial": lambda store, _: store.put_trial("one", a_trial(1)),
    "state": lambda store, _: store.put_trial("one", a_complete(0, 0.9, 0.1)),
    "epoch": lambda store, _: store.put_trial("one", a_trial(0), [an_epoch(1)]),
    "target": lambda store, _: begin_run(store, "one", n_trials=99),
    "teacher": lambda store, _: begin_run(store, "one", teacher_hash="beef", teacher_accuracy=0.5),
    "deleted": lambda store, _: store.delete_study("one"),
    "driver": lambda _, engine: lease.acquire(
        engine, "one", holder="a", host="b", pid=1, ttl_s=600
    ),
    "verified": lambda _, engine: VerificationStore(engine).put("one", a_verification(0)),
}


@pytest.mark.parametrize("what", CHANGES)
def test_each_change_is_reported_to_who_asks_about_it(
    store: ResultStore, engine: Engine, what: str
) -> None:
    store.create_study(a_study("one"))
    store.create_study(a_study("two"))
    store.put_trial("one", a_trial(0))
    about = ((), ("one",), ("two", "one"))
    before, other = [change_token(engine, names) for names in about], change_token(engine, ("two",))
    assert [change_token(engine, names) for names in about] == before
    CHANGES[what](store, engine)
    after = [change_token(engine, names) for names in about]
    assert all(new != old for new, old in zip(after, before, strict=True))
    assert change_token(engine, ("two",)) == other


def test_renewing_a_lease_is_no_news_but_waiting_or_losing_it_is(
    store: ResultStore, engine: Engine
) -> None:
    store.create_study(a_study("one"))
    free = change_token(engine, ["one"])
    held = lease.acquire(engine, "one", holder="a", host="b", pid=1, ttl_s=600)
    driven = change_token(engine, ["one"])
    held = lease.renew(engine, held, ttl_s=700)
    assert change_token(engine, ["one"]) == driven
    held = lease.renew(engine, replace(held, waits_for="a node"), ttl_s=700)
    assert change_token(engine, ["one"]) not in (driven, free)
    lease.renew(engine, held, ttl_s=-1)
    assert change_token(engine, ["one"]) == free != driven


def test_who_is_not_there(engine: Engine) -> None:
    assert change_token(engine, ["none"]) == change_token(engine)
