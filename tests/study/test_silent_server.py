"""A real driver on a PostgreSQL that stays connected and stops answering."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import create_engine, text

from tests.black_hole import BlackHole, black_hole
from tests.postgres import own_postgres
from tests.study.driver import STUDY, Driver, Study

#: Trainings that last longer than the silence: no other begins meanwhile.
LONG_STUDY = STUDY.replace("one_cycle, epochs: 4", "one_cycle, epochs: 2000")


class Halted:
    """A server of which every process is stopped and holds its connections, as by SIGSTOP."""

    def __init__(self, url: str):
        self.url = url
        engine = create_engine(url)
        with engine.connect() as connection:
            folder = str(connection.execute(text("SHOW data_directory")).scalar())
        engine.dispose()
        first, *_ = (Path(folder) / "postmaster.pid").read_text().splitlines()
        self._server = psutil.Process(int(first))

    def swallow(self) -> None:
        """Stop the server, and what it has begun."""
        self._server.suspend()  # it begins no other meanwhile
        for process in self._server.children(recursive=True):
            process.suspend()

    def release(self) -> None:
        """Let them go on."""
        for process in [*self._server.children(recursive=True), self._server]:
            process.resume()


@pytest.fixture(params=["a black hole", "stopped"])
def hole(request: pytest.FixtureRequest) -> Iterator[BlackHole | Halted]:
    with own_postgres() as server:
        if request.param == "stopped":
            halted = Halted(server.url)
            yield halted
            halted.release()
        else:
            with black_hole(server.url) as hole:
                yield hole


@pytest.fixture
def study(hole: BlackHole | Halted, tmp_path: Path) -> Study:
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
    hole: BlackHole | Halted, study: Study, driver: Driver
) -> None:
    hole.swallow()
    before = trained(study)
    until = time.monotonic() + 30  # one of the two outlasts its lease
    while time.monotonic() < until and not (
        isinstance(hole, Halted)
        and trained(study) - before > 3
        and "training goes on, results wait in" in driver.errors()
    ):
        driver.linger(0.2)
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
