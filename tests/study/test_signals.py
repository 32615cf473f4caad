"""Signals to real drivers, from those who stop programs: one to stop in order, two at once."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.results.leases import left_waiting
from tests.study.driver import Driver, Study

pytestmark = pytest.mark.usefixtures("hangups_end_a_process")

#: An epoch takes as long as the file `slow` beside it says, and has three batches.
USER_CODE = """
import time
from pathlib import Path
from torch import nn

SLOW = Path(__file__).with_name("slow")

class Slow(nn.Module):
    def forward(self, x):
        if self.training and len(x) > 2 and SLOW.exists():  # not while it is looked at
            time.sleep(float(SLOW.read_text()) / 3)
        return x

def network(classes, channels, image_size):
    return nn.Sequential(
        Slow(), nn.Conv2d(channels, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes),
    )
"""
STUDY = """
name: tiny
data: {name: digits, limit: 400}
model: {name: "slow_code:network"}
teacher: {training: {epochs: 1}}
training: {epochs: 100}
space: {kind: uniform}
search: {sampler: random, n_trials: 40}
"""
#: The interpreter's own end, on a machine that is busy with other tests.
END_S = 60


@pytest.fixture
def study(tmp_path: Path, cache: Path) -> Study:
    (tmp_path / "slow_code.py").write_text(USER_CODE)
    return Study(tmp_path, cache, STUDY)


@pytest.fixture
def driver(study: Study, request: pytest.FixtureRequest) -> Iterator[Driver]:
    """A driver in an epoch that takes as long as the test says, with the test's options."""
    epoch_s, *options = getattr(request, "param", (600,))
    driver = study.start("launch", str(study.file), "--max-parallel", "1", *options)
    driver.read_until(lambda event: event["event"] == "epoch" and event["epoch"] == 2)
    (study.folder / "slow").write_text(str(epoch_s))
    driver.linger(0.5)
    yield driver
    driver.kill_with_workers()


def check_stopped(study: Study, driver: Driver, code: int) -> int:
    """See that it left nothing to be cleaned up; return how many trials wait."""
    assert driver.wait() == code, driver.errors()
    # Ray's dump of addresses comes with these words.
    assert "Traceback" not in driver.errors()
    assert "received at time" not in driver.errors()
    return left_waiting(study.url, "tiny")


@pytest.mark.parametrize("driver", [(6,)], indirect=True)
def test_one_stops_in_order(study: Study, driver: Driver) -> None:
    """In an epoch that takes longer than the 3 s that abseil leaves."""
    driver.send(signal.SIGTERM)
    driver.read_to_end()
    assert check_stopped(study, driver, 143) == 1
    assert driver.seen[-1]["event"] == "stopped"
    assert driver.seen[-1]["queued"] == [0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_one_to_all_processes_stops_in_order(
    study: Study, driver: Driver, number: signal.Signals
) -> None:
    driver.send(number, to_group=True)
    driver.read_to_end()
    assert check_stopped(study, driver, 128 + number) == 1


def test_two_stop_at_once(study: Study, driver: Driver) -> None:
    workers = driver.family()
    began = time.monotonic()
    driver.send(signal.SIGTERM)
    driver.linger(0.3)
    driver.send(signal.SIGTERM)
    driver.read_to_end()
    took_s = time.monotonic() - began
    assert check_stopped(study, driver, 143) == 1
    assert took_s < 15 + END_S  # an epoch takes 600 s
    assert "`resume` goes on from the last checkpoints" in driver.errors()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive


def test_before_the_first_trial_one_stops_at_once(tmp_path: Path) -> None:
    (tmp_path / "slow_code.py").write_text(USER_CODE)
    study = Study(tmp_path, tmp_path / "cache", STUDY)  # its teacher is not trained yet
    (study.folder / "slow").write_text("300")
    driver = study.start("launch", str(study.file))
    driver.read_until(lambda event: event["event"] == "preparing" and event["stage"] == "teacher")
    driver.send(signal.SIGTERM)
    driver.read_to_end()
    assert check_stopped(study, driver, 143) == 0


@pytest.mark.parametrize("driver", [(600, "--grace", "20")], indirect=True)
def test_with_a_grace_time_it_is_done_within_it(study: Study, driver: Driver) -> None:
    began = time.monotonic()
    driver.send(signal.SIGTERM)
    driver.read_to_end()
    took_s = time.monotonic() - began
    assert check_stopped(study, driver, 143) == 1
    assert took_s < 20
    (study.folder / "slow").unlink()
    resumed = study.start("launch", str(study.file), "--max-parallel", "1")
    epoch = resumed.read_until(lambda event: event["event"] == "epoch")
    resumed.send(signal.SIGINT)
    resumed.read_to_end()
    check_stopped(study, resumed, 130)
    assert epoch["trial"] == 0
    assert study.repeated_epochs() == []


@pytest.mark.parametrize("driver", [(15, "--grace", "120")], indirect=True)
def test_a_long_grace_time_lets_epochs_end(study: Study, driver: Driver) -> None:
    """One that takes longer than the 10 s that Ray waits for."""
    before = max(event["epoch"] for event in driver.seen if event["event"] == "epoch")
    driver.send(signal.SIGTERM)
    driver.read_to_end()
    assert check_stopped(study, driver, 143) == 1
    assert max(e["epoch"] for e in driver.seen if e["event"] == "epoch") > before
