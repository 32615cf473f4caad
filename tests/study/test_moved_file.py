"""A SQLite file that is moved away, or replaced, while a real driver holds it."""

import shutil
from pathlib import Path

import pytest

from tests.study.driver import Study


@pytest.mark.parametrize(
    ("is_replaced", "said"), [(False, "is gone"), (True, "was replaced by another")]
)
def test_the_driver_stops_in_a_line_and_another_goes_on(
    tmp_path: Path, cache: Path, is_replaced: bool, said: str
) -> None:
    study = Study(tmp_path, cache)
    file, away = tmp_path / "a.db", tmp_path / "away.db"
    driver = study.start("launch", str(study.file), "--trials", "1000", "--max-parallel", "1")
    try:
        driver.read_until(lambda event: event["event"] == "epoch")
        file.rename(away)
        if is_replaced:
            shutil.copy(away, file)
        driver.read_to_end()
        assert driver.wait() == 2, driver.errors()
    finally:
        driver.kill_with_workers()
    *before, last = driver.errors().splitlines()
    assert last == (
        f"error: the database file {file} {said}: the study tiny stopped, and nothing more is "
        "written; put the file back, then `resume` the study"
    )
    # A result that came before the lease's next look found no file, and waits.
    assert all("training goes on, results wait in" in line for line in before)
    assert len(before) <= (0 if is_replaced else 1)
    if not is_replaced:
        assert not file.exists()  # none was made in its place
        away.rename(file)
    # The driver went on with a copy that is equal: what it reported is there.
    reported = {e["trial"] for e in driver.seen if e.get("state") == "COMPLETE"}
    total = max(2, len(reported) + 1)
    done = study.run("resume", "tiny", "--trials", str(total), "--max-parallel", "1")
    complete = {e["trial"] for e in done if e.get("state") == "COMPLETE"}
    assert not complete & reported
    assert len(complete | reported) >= total
