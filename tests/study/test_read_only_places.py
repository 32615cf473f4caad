"""Drivers where a folder that they would write to is on a disk that takes no writes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mounts import needs, seeing
from tests.study.driver import ROOT, SHORT_STUDY, Study

#: Runs a command for which a folder is on a disk that takes no writes.
READ_ONLY = seeing('mount --bind "$0" "$0" && mount -o remount,ro,bind "$0"')

pytestmark = needs(*READ_ONLY, "/tmp")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study that was searched where everything could be written."""
    folder = tmp_path_factory.mktemp("finished")
    study = Study(folder, folder / "cache", SHORT_STUDY)
    study.run("launch", str(study.file), "--max-parallel", "1")
    return study


def run(
    folder: Path, read_only: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in ``folder`` where another is read only."""
    return subprocess.run(
        [*READ_ONLY, str(read_only), sys.executable, str(ROOT / "search.py"), *arguments, "--json"],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
        | {"MLGSEARCH_CACHE": str(folder / "cache")}
        | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def events(done: "subprocess.CompletedProcess[str]") -> list[dict[str, object]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_an_empty_cache_that_takes_no_writes_is_told_before_a_teacher_is_trained(
    tmp_path: Path,
) -> None:
    study, cache = Study(tmp_path, tmp_path / "cache", SHORT_STUDY), tmp_path / "cache"
    cache.mkdir()
    done = run(tmp_path, cache, "launch", str(study.file), "--storage", study.url)
    assert done.returncode == 2, done.stderr
    assert done.stderr == (
        f"error: {cache} cannot be written; let MLGSEARCH_CACHE name a folder that can\n"
    )
    stages = {event.get("stage") for event in events(done)}
    assert "teacher" not in stages


def test_a_cache_that_holds_all_may_take_no_writes(finished: Study) -> None:
    cache = finished.folder / "cache"
    before = sorted(cache.rglob("*"))
    words = ("resume", "tiny", "--trials", "3", "--max-parallel", "1")
    more = run(finished.folder, cache, *words, "--storage", finished.url)
    assert more.returncode == 0, more.stderr
    assert events(more)[-1]["states"]["COMPLETE"] == 3  # type: ignore[index]
    assert sorted(cache.rglob("*")) == before


def test_a_home_that_takes_no_writes_is_none_that_is_needed(tmp_path: Path) -> None:
    study, home = Study(tmp_path, tmp_path / "cache", SHORT_STUDY), tmp_path / "home"
    home.mkdir()
    words = ("launch", str(study.file), "--max-parallel", "1", "--storage", study.url)
    done = run(tmp_path, home, *words, HOME=str(home))
    assert done.returncode == 0, done.stderr
    assert events(done)[-1]["states"]["COMPLETE"] == 2  # type: ignore[index]
    assert list(home.iterdir()) == []


def test_verify_says_before_it_trains_that_a_place_takes_no_writes(
    finished: Study, tmp_path: Path
) -> None:
    cache, runs = finished.folder / "cache", finished.folder / "a.db.runs"
    empty = tmp_path / "empty"
    empty.mkdir()
    words = ("verify", "tiny", "--storage", finished.url)
    for folder, variable, used in (
        (runs, "MLGSEARCH_RUNS", cache),
        (empty, "MLGSEARCH_CACHE", empty),
    ):
        done = run(finished.folder, folder, *words, MLGSEARCH_CACHE=str(used))
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith(f"error: {folder}")
        assert f"cannot be written; let {variable} name a folder that can\n" in done.stderr
        assert done.stderr.count("\n") == 1
