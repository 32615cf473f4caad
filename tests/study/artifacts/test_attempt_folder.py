import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from mlgsearch.study.artifacts.attempt_folder import LateAttemptError, claim_attempt, last_attempt
from mlgsearch.train.loop import checkpoint


def save(folder: Path, value: int) -> None:
    checkpoint.save(folder, "student", {"a": torch.tensor(value)}, {"value": value})


def taken(folder: Path) -> object:
    found = checkpoint.load(folder, "student")
    return None if found is None else found.metadata["value"]


def test_an_attempt_has_what_the_one_before_did(tmp_path: Path) -> None:
    trial = tmp_path / "runs" / "000007"
    first = claim_attempt(trial, 1)
    assert taken(first) is None
    save(first, 1)
    save(first, 2)
    assert claim_attempt(trial, 1) == first
    second = claim_attempt(trial, 4)
    assert (taken(second), second.name) == (2, "attempt-0004")
    assert not first.exists()
    assert last_attempt(trial) == second
    assert all(path.stat().st_mode & 0o077 == 0 for path in (trial, second))


def test_a_worker_that_comes_back_late_writes_nothing_that_is_taken(tmp_path: Path) -> None:
    late = claim_attempt(tmp_path, 1)
    save(late, 1)
    second = claim_attempt(tmp_path, 2)
    for value in (91, 92, 93):  # its machine was cut off, and it trains on
        save(late, value)
    assert taken(second) == 1
    with pytest.raises(LateAttemptError, match="attempt 1 comes late: attempt 2 has begun"):
        claim_attempt(tmp_path, 1)
    third = claim_attempt(tmp_path, 3)
    assert taken(third) == taken(last_attempt(tmp_path)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["attempt-0003"]


def test_checkpoints_of_before_there_were_attempts_are_taken(tmp_path: Path) -> None:
    save(tmp_path, 1)
    save(tmp_path, 2)
    assert last_attempt(tmp_path) == tmp_path
    assert taken(claim_attempt(tmp_path, 3)) == 2
    assert list(tmp_path.glob("*.safetensors")) == []


def test_of_attempts_that_begin_at_once_the_last_has_it_all(tmp_path: Path) -> None:
    save(claim_attempt(tmp_path, 1), 1)
    start = threading.Barrier(6)

    def claim(attempt: int) -> int:
        start.wait(30)
        try:
            claim_attempt(tmp_path, attempt)
        except LateAttemptError:
            return 0
        return attempt

    with ThreadPoolExecutor(6) as threads:
        got = list(threads.map(claim, range(2, 8)))
    assert got[-1] == 7
    assert last_attempt(tmp_path).name == "attempt-0007"
    assert taken(last_attempt(tmp_path)) == 1
