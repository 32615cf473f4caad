"""A real driver on a PostgreSQL that stays connected and stops answering."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.black_hole import BlackHole, black_hole
from tests.study.driver import STUDY, Driver, Study
from tests.study.writing.test_outage import stopped_postgres

#: Trainings that last longer than the silence: no other begins meanwhile.
LONG_STUDY = STUDY.replace("one_cycle, epochs: 4", "one_cycle, epochs: 2000")


@pytest.fixture
def hole() -> Iterator[BlackHole]:
    with stopped_postgres() as server, black_hole(server.url) as hole:
        yield hole


@pytest.fixture
def study(hole: BlackHole, tmp_path: Path) -> Study:
    return Study(tmp_path, tmp_path / "cache", LONG_STUDY, hole.url)


@pytest.fixture
def driver(study: Study) -> Iterator[Driver]:
    driver = study.start("launch", str(study.file), "--max-parallel", "1")
    driver.read_until(lambda event: event["event"] == "epoch")
    yield driver
    driver.kill_with_workers()


def trained(study: Study) -> int:
    return sum(event["event"] == "epoch" for event in study.logged().get(0, []))


def test_training_goes_on_and_two_signals_end_it(
    hole: BlackHole, study: Study, driver: Driver
) -> None:
    hole.swallow()
    before = trained(study)
    driver.linger(30)
    meanwhile = trained(study) - before
    assert meanwhile > 3, driver.errors()
    assert "training goes on, results wait in" in driver.errors()
    hole.release()
    reported = driver.read_until(
        lambda event: event["event"] == "epoch" and event["epoch"] >= before + meanwhile
    )
    assert reported["trial"] == 0
    epochs = [event["epoch"] for event in driver.seen if event["event"] == "epoch"]
    assert epochs == list(range(1, len(epochs) + 1))  # each once
    hole.swallow()
    driver.linger(2)
    began = time.monotonic()
    driver.send(signal.SIGINT)
    driver.linger(1)
    driver.send(signal.SIGINT)
    assert driver.wait() in (2, 130), driver.errors()
    assert time.monotonic() - began < 60  # 15 s, on a machine that is busy with other tests
