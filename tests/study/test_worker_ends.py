"""Workers whose process really ends in a training, and what their trial's error says of it."""

import os
import time
from pathlib import Path

import psutil
import pytest

from mlgsearch.records import TrialState
from tests.chaos.limits import memory_group
from tests.results.leases import trials_of
from tests.study.driver import Driver, Study

#: Training goes on up to the file `ends` beside it, and then does what that says.
USER_CODE = """
import ctypes
import os
import time
from pathlib import Path
from torch import nn

FOLDER = Path(__file__).parent

def take_memory():
    (FOLDER / "pid").write_text(str(os.getpid()))
    held = []
    for _ in range(1_000):
        held.append(os.urandom(1_000_000))
        time.sleep(0.05)

class Ending(nn.Module):
    def forward(self, x):
        if self.training and (FOLDER / "ends").exists():
            exec((FOLDER / "ends").read_text())
        return x

def network(classes, channels, image_size):
    return nn.Sequential(
        Ending(), nn.Conv2d(channels, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes),
    )
"""
STUDY = """
name: tiny
data: {name: digits, limit: 400}
model: {name: "ending_code:network"}
teacher: {training: {epochs: 1}}
training: {epochs: 10000}
space: {kind: uniform}
search: {sampler: random, n_trials: 1}
resources: {max_parallel: 1, worker_retries: 0}
"""
DIED = "its worker died 1 time: "
SET = "run fewer trials at once (--max-parallel, or a larger resources.cpu)"


@pytest.fixture
def study(tmp_path: Path) -> Study:
    (tmp_path / "ending_code.py").write_text(USER_CODE)
    return Study(tmp_path, tmp_path / "cache", STUDY)


def launched(study: Study) -> Driver:
    """Return a driver whose trial is in training."""
    driver = study.start("launch", str(study.file))
    driver.read_until(lambda event: event["event"] == "epoch")
    return driver


def error_of(study: Study, driver: Driver) -> str:
    """Return the error of its trial, once the driver ended; its user reads the same."""
    driver.read_to_end()
    assert driver.wait() == 2, driver.errors()
    [trial] = trials_of(study.url, "tiny")
    assert trial.state is TrialState.FAIL
    assert trial.error is not None
    assert trial.error in driver.errors()
    return trial.error


def test_a_crash_of_native_code_is_not_taken_for_want_of_memory(study: Study) -> None:
    driver = launched(study)
    (study.folder / "ends").write_text("ctypes.string_at(0)")
    error = error_of(study, driver)
    assert error.startswith(f"{DIED}its process was killed from outside, most often by the kernel")
    assert "or it crashed, as native code does (SIGSEGV)" in error
    assert SET in error


def test_the_kernel_ends_it_for_its_limit_of_memory(study: Study) -> None:
    driver = launched(study)
    with memory_group(f"mlgsearch-test-{os.getpid()}") as group:
        if group is None:
            driver.kill_with_workers()
            pytest.skip("this machine lets no control group be made")
        (study.folder / "ends").write_text("take_memory()")
        pid = study.folder / "pid"
        while not (pid.exists() and pid.read_text()):
            assert driver.is_running(), driver.errors()
            time.sleep(0.05)
        worker = psutil.Process(int(pid.read_text()))
        group.join(worker.pid)
        error = error_of(study, driver)
        assert not worker.is_running()
    assert error.startswith(f"{DIED}its process was killed from outside, most often by the kernel")
    assert SET in error


def test_rays_monitor_ends_it_where_memory_is_low(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_memory_usage_threshold", "0.001")
    driver = study.start("launch", str(study.file))
    error = error_of(study, driver)
    assert error.startswith(f"{DIED}Ray ended it, for the machine or its container ran out of")
    assert SET in error
