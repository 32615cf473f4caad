"""Processes of Ray's that are killed under a real driver."""

import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.results.leases import left_waiting
from tests.study.driver import STUDY, Driver, Study

#: Trainings that do not end by themselves.
LONG_STUDY = STUDY.replace("one_cycle, epochs: 4", "one_cycle, epochs: 2000")


@pytest.fixture
def study(tmp_path: Path, cache: Path) -> Study:
    return Study(tmp_path, cache, LONG_STUDY)


@pytest.fixture
def driver(study: Study) -> Iterator[Driver]:
    driver = study.start("launch", str(study.file), "--max-parallel", "1")
    driver.read_until(lambda event: event["event"] == "epoch" and event["epoch"] == 2)
    yield driver
    driver.kill_with_workers()


@pytest.mark.parametrize("name", ["raylet", "gcs_server"])
def test_the_driver_queues_what_ran_and_says_so(study: Study, driver: Driver, name: str) -> None:
    family = driver.family()
    next(process for process in family if process.name() == name).kill()
    began = time.monotonic()
    driver.read_to_end()
    assert driver.wait() == 2, driver.errors()
    assert time.monotonic() - began < 50  # Ray itself ends the driver after 60 s
    errors = driver.errors()
    assert f"error: Ray's process {name} on this machine has ended" in errors
    assert "Traceback" not in errors
    assert left_waiting(study.url, "tiny") == 1
    _, alive = psutil.wait_procs(family, timeout=30)
    assert not alive
