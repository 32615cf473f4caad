"""Trials that go wrong, in real workers: out of memory, no room on the disk, too late, hung."""

import errno
import gc
import json
import os
import re
import signal
import subprocess
import sys
import time
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from mlgsearch.paths import trial_directory
from mlgsearch.study.artifacts.attempt_folder import claim_attempt
from mlgsearch.study.cluster.worker import HUNG, TrialWorker, WorkerContext
from mlgsearch.train.spec import DataSpec
from mlgsearch.train.student.student import StudentTraining
from tests.study.cluster.test_worker import SPEC, Bench, numbers, step


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    torch.set_num_threads(1)
    return Bench(tmp_path_factory.mktemp("bad"))


@pytest.mark.parametrize("kind", ["torch", "python", "cuda"])
def test_out_of_memory_fails_the_trial_and_gives_all_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    held: list[weakref.ref[torch.Tensor]] = []

    def greedy(self: StudentTraining) -> None:
        large = torch.ones(2**20)
        held.append(weakref.ref(large))
        if kind == "cuda":  # what its allocator raises, on a machine that need not have one
            worker._device = torch.device("cuda")
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        if kind == "torch":
            torch.empty(2**55)  # more than any machine has: torch's own words
        raise MemoryError("no more")

    number, said = {
        "torch": (100, "RuntimeError: "),
        "python": (110, "MemoryError: no more"),
        "cuda": (115, "OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"),
    }[kind]
    given_back: list[bool] = []
    worker = TrialWorker(config=bench.config(number))
    with monkeypatch.context() as patch:
        patch.setattr(StudentTraining, "run_epoch", greedy)
        patch.setattr(torch.cuda, "empty_cache", lambda: given_back.append(held[0]() is None))
        payload, is_done = step(worker)
    worker._device = torch.device("cpu")
    assert is_done
    assert ("allocate memory" in payload["error"]) == (kind == "torch")
    assert payload["error"].startswith(said)
    # The cache is emptied once nothing holds the tensor any more, or it would keep its memory.
    assert given_back == [True] * (kind == "cuda")
    gc.collect()
    assert held[0]() is None
    worker.reset_config(bench.config(number + 1))
    assert numbers(step(worker)[0]) == [1]
    worker.cleanup()


class Dying(Dataset[int]):
    """Images whose third one ends the process that loads it, or cannot be read."""

    def __init__(self, is_killed: bool):
        self._is_killed = is_killed

    def __len__(self) -> int:
        return 4

    def __getitem__(self, place: int) -> int:
        if place == 2 and self._is_killed:
            os.kill(os.getpid(), signal.SIGKILL)
        if place == 2:
            raise OSError(errno.EIO, "image 2 cannot be read")
        return place


@pytest.mark.parametrize(
    ("number", "is_killed", "said"),
    [
        (180, True, "DataLoader worker|Connection reset|EOFError"),
        (185, False, "image 2 cannot be read"),
    ],
)
def test_a_data_loader_that_dies_fails_the_trial_and_the_next_one_runs(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, number: int, is_killed: bool, said: str
) -> None:
    """A network of its user's may feed itself so; torch's own loader, in processes of its own."""

    def fed(self: StudentTraining) -> None:
        list(DataLoader(Dying(is_killed), num_workers=1))

    worker = TrialWorker(config=bench.config(number))
    with monkeypatch.context() as patch:
        patch.setattr(StudentTraining, "run_epoch", fed)
        payload, is_done = step(worker)
    assert is_done
    # Of one that was killed torch says so in several ways, whichever it meets first.
    assert re.search(said, payload["error"])
    worker.reset_config(bench.config(number + 1))
    assert numbers(step(worker)[0]) == [1]
    worker.cleanup()


def test_data_that_cannot_be_read_in_the_worker_fail_the_trial_by_their_name(
    bench: Bench, tmp_path: Path
) -> None:
    gone = SPEC.model_copy(update={"data": DataSpec(name="folder", root=str(tmp_path / "gone"))})
    context = WorkerContext(gone.model_dump(mode="json"), str(bench.cache), str(bench.study), 1)
    worker = TrialWorker(config=bench.config(190, context=context.to_text()))
    payload, is_done = step(worker)
    assert is_done
    assert str(tmp_path / "gone") in payload["error"]
    worker.reset_config(bench.config(191))
    worker.cleanup()


def test_every_write_may_find_the_disk_full_and_nothing_half_is_taken(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The n-th write of a training fails half-way, for every n there is; then there is room."""
    once = TrialWorker(config=bench.config(120))
    undisturbed = [step(once)[0] for _ in range(2)][1]["summary"]
    once.cleanup()
    writes = 0
    for failing in range(1, 20):
        writes = 0
        real = os.fsync

        def full(descriptor: int, failing: int = failing, real: Any = real) -> None:
            nonlocal writes
            writes += 1
            if writes == failing:
                raise OSError(errno.ENOSPC, "No space left on device")
            real(descriptor)

        worker = TrialWorker(config=bench.config(120 + failing))
        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", full)
            payloads = [step(worker)[0]]
            while payloads[-1].keys() & {"summary", "disk_full"} == set():
                payloads.append(step(worker)[0])
        worker.cleanup()
        if writes < failing:
            break
        assert "No space left on device" in payloads[-1]["disk_full"]
        reported = [epoch["epoch"] for payload in payloads for epoch in payload["epochs"]]
        folder = trial_directory(bench.study, 120 + failing)
        assert not list(folder.rglob("*.tmp"))
        again = TrialWorker(config=bench.config(120 + failing, attempt=2))
        later = [step(again)[0]]
        while "summary" not in later[-1]:
            later.append(step(again)[0])
        again.cleanup()
        assert numbers(later[0])[: len(reported)] == reported  # nothing that was reported is lost
        assert later[-1]["summary"]["accuracy"] == undisturbed["accuracy"]
        assert later[-1]["summary"]["loss"] == undisturbed["loss"]
    assert failing > 2, "no write was seen"


def test_a_log_on_a_full_disk_stops_the_study_and_fails_no_trial(bench: Bench) -> None:
    folder = trial_directory(bench.study, 150)
    folder.mkdir(parents=True)
    (folder / "events.jsonl").symlink_to("/dev/full")
    worker = TrialWorker(config=bench.config(150))
    payload, is_done = step(worker)
    worker.cleanup()
    assert is_done
    assert "Errno 28" in payload["disk_full"]


def test_an_attempt_that_begins_too_late_trains_nothing(bench: Bench) -> None:
    claim_attempt(trial_directory(bench.study, 160), 2)
    worker = TrialWorker(config=bench.config(160))
    payload, is_done = step(worker)
    worker.cleanup()
    assert (is_done, payload["attempt"]) == (True, 1)
    assert "attempt 1 comes late: attempt 2 has begun" in payload["error"]


HANG = """
import json, sys, threading
from mlgsearch.study.cluster import worker
trained, hung = map(json.loads, sys.argv[1:])
worker.TrialWorker(config=trained).step()  # whatever is imported late is imported now
worker.StudentTraining.run_epoch = lambda self: threading.Event().wait()
worker.TrialWorker(config=hung).step()
"""


def test_a_hung_trial_ends_its_own_process_and_says_where_it_hung(bench: Bench) -> None:
    context = WorkerContext(
        SPEC.model_dump(mode="json"), str(bench.cache), str(bench.study), 1, trial_timeout_s=0.5
    )
    configs = [bench.config(165), bench.config(170, context=context.to_text())]
    ended = subprocess.run(
        [sys.executable, "-c", HANG, *map(json.dumps, configs)], timeout=120, check=False
    )
    assert ended.returncode == 1
    said = (Path(trial_directory(bench.study, 170)) / HUNG).read_text()
    assert "Timeout" in said
    assert "in step" in said


SHIFTED = """
import json, sys, time
time.time = lambda real=time.time: real() + 3600
from mlgsearch.study.cluster.worker import TrialWorker
worker = TrialWorker(config=json.loads(sys.argv[1]))
for _ in range(2):
    print(worker.step()["payload"])
worker.cleanup()
"""


def test_a_clock_one_hour_off_on_a_worker_changes_nothing_that_it_reports(bench: Bench) -> None:
    """What it reports is durations; moments are the database's, in rows and in leases."""
    right = TrialWorker(config=bench.config(195))
    expected = [step(right)[0] for _ in range(2)]
    right.cleanup()
    ran = subprocess.run(
        [sys.executable, "-c", SHIFTED, json.dumps(bench.config(196))],
        capture_output=True,
        text=True,
        check=True,
    )
    found = [json.loads(line) for line in ran.stdout.splitlines()]
    log = (trial_directory(bench.study, 196) / "events.jsonl").read_text().splitlines()
    assert all(json.loads(line)["time"] > time.time() + 3000 for line in log)
    for payload in found:
        for epoch in payload["epochs"]:
            assert 0 < epoch.pop("epoch_s") < 1000
    for payload in expected:
        for epoch in payload["epochs"]:
            del epoch["epoch_s"]
    assert [payload["epochs"] for payload in found] == [payload["epochs"] for payload in expected]
    seconds = found[1]["summary"]["stage_seconds"]
    assert all(0 <= value < 1000 for value in seconds.values())
