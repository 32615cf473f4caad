"""Drivers that see other processes, or another clock, than the one that holds the study."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlgsearch.records import TrialState
from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.store import ResultStore
from tests.mounts import needs, seeing
from tests.results.leases import current
from tests.study.driver import ROOT, Driver, Study
from tests.test_process_identity import ELSEWHERE

#: Runs a command where the machine seems to have started 5 s later, as after a setting of the
#: clock: a process's start by the wall clock is counted from there.
CLOCK_SET = seeing('mount --bind "$0" /proc/stat')
#: Prints when a process began by the wall clock.
BEGAN = "import psutil, sys; print(psutil.Process(int(sys.argv[1])).create_time())"


#: A study, and the driver that trains its trials.
Live = tuple[Study, Driver]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[Live]:
    """A driver that is far from done."""
    study = Study(tmp_path_factory.mktemp("live"), cache)
    driver = study.start("launch", str(study.file), "--trials", "1000", "--max-parallel", "1")
    try:
        driver.read_until(lambda event: event["event"] == "epoch")
        yield study, driver
    finally:
        driver.kill_with_workers()


@needs(*ELSEWHERE)
def test_a_live_driver_is_not_taken_for_gone_from_another_pid_namespace(live: Live) -> None:
    check_refused(live, ELSEWHERE)


@needs(*CLOCK_SET, "/proc/stat")
def test_a_live_driver_is_not_taken_for_gone_after_the_clock_was_set(
    live: Live, tmp_path: Path
) -> None:
    later = re.sub(
        r"btime (\d+)", lambda at: f"btime {int(at[1]) + 5}", Path("/proc/stat").read_text()
    )
    (tmp_path / "stat").write_text(later)
    before = [*CLOCK_SET, str(tmp_path / "stat")]
    began = [
        float(subprocess.check_output([*words, sys.executable, "-c", BEGAN, str(os.getpid())]))
        for words in ([], before)
    ]
    assert began[1] - began[0] == pytest.approx(5, abs=1)
    check_refused(live, before)


def check_refused(live: Live, run_by: list[str]) -> None:
    """See that a `resume` that is run by a command is refused, and the live driver goes on."""
    study, first = live
    engine = open_engine(study.url)
    held = current(engine, "tiny")
    assert held is not None
    second = subprocess.run(
        [
            *(*run_by, sys.executable, str(ROOT / "search.py")),
            *("resume", "tiny", "--storage", study.url),
        ],
        cwd=study.folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert second.returncode == 2
    assert f"study 'tiny' is driven by {held.holder} (process {held.pid} on" in second.stderr
    now = current(engine, "tiny")
    assert now is not None
    assert now.token == held.token
    done = ResultStore(engine).state_counts("tiny")[TrialState.COMPLETE]
    engine.dispose()
    first.read_until(
        lambda event: event["event"] == "trial" and event["trial"] >= done
    )  # trained after the refusal
