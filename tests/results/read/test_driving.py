"""Who drives a study, and how fast, on every database."""

from datetime import timedelta

from sqlalchemy import Engine

from mlgsearch.results.database import lease
from mlgsearch.results.database.store import ResultStore
from mlgsearch.results.read.driving import read_driving, time_left_s
from tests.results.samples import a_complete, a_study


def test_who_drives_and_how_long_it_takes(store: ResultStore, engine: Engine) -> None:
    store.create_study(a_study("one"))
    store.create_study(a_study("other"))
    store.put_trial("one", a_complete(0, 0.9, 0.1))
    assert read_driving(engine, "one") is None
    assert read_driving(engine, "none of that name") is None
    held = lease.acquire(engine, "one", holder="me", host="here", pid=1)
    driver = ResultStore(engine, held)
    begun = read_driving(engine, "one")
    assert begun is not None
    assert (begun.lease.host, begun.seconds_per_trial, begun.time_left_s(4)) == ("here", None, None)
    for number in (1, 2, 3):
        ended = held.acquired_at + timedelta(seconds=20 * number)
        driver.put_trial("one", a_complete(number, 0.9, 0.1, finished_at=ended))
    found = read_driving(engine, "one")
    assert found is not None
    assert (found.seconds_per_trial, found.time_left_s(4)) == (20, 80)
    assert read_driving(engine, "other") is None
    lease.release(engine, held)
    assert read_driving(engine, "one") is None


def test_what_is_left_goes_on_at_the_pace_so_far() -> None:
    assert time_left_s((2, 30.0), 4) == 60
    assert time_left_s((5, 0.0), 4) == 0


def test_without_anything_done_nothing_is_known() -> None:
    assert time_left_s((0, 30.0), 4) is None
    assert time_left_s((-1, 30.0), 4) is None


def test_nothing_is_left_where_nothing_remains() -> None:
    assert time_left_s((0, 0.0), 0) == 0
    assert time_left_s((3, 30.0), -1) == 0
