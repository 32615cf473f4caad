"""Drivers in containers that share a host's name and a database, not a list of processes."""

import subprocess
import sys
from pathlib import Path

import pytest

from mlgsearch.results.database import lease as leases
from mlgsearch.results.database.connection.engine import open_engine
from tests.study.driver import ROOT, Study
from tests.test_process_identity import ELSEWHERE, may_unshare


def test_a_live_driver_is_not_taken_for_gone_from_another_pid_namespace(tmp_path: Path) -> None:
    if not may_unshare():
        pytest.skip("this user may make no PID namespace here")
    study = Study(tmp_path, tmp_path / "cache")
    first = study.start("launch", str(study.file), "--trials", "1000", "--max-parallel", "1")
    try:
        first.read_until(lambda event: event["event"] == "epoch")
        engine = open_engine(study.url)
        held = leases.current(engine, "tiny")
        assert held is not None
        second = subprocess.run(
            [
                *(*ELSEWHERE, sys.executable, str(ROOT / "search.py")),
                *("resume", "tiny", "--storage", study.url),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert second.returncode == 2
        # Its number is that of no process there.
        assert f"study 'tiny' is driven by {held.holder} (process {held.pid} on" in second.stderr
        now = leases.current(engine, "tiny")
        engine.dispose()
        assert now is not None
        assert now.token == held.token
        before = len(first.seen)
        first.read_until(lambda event: event["event"] == "epoch")
        assert len(first.seen) > before
    finally:
        first.kill_with_workers()
