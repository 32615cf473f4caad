import errno
import gc
import traceback
import weakref
from typing import Any

import pytest
import torch

from mlgsearch.study.cluster.exceptions import Failure, death_reason, take_failure

LESS_MEMORY = (
    "run fewer trials at once (--max-parallel, or a larger resources.cpu), or a smaller "
    "training.batch_size"
)


def raised(error: Exception) -> Exception:
    """The error as it is caught."""
    try:
        raise error
    except type(error) as caught:
        return caught


@pytest.mark.parametrize(
    ("error", "is_disk_full"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), True),
        (OSError(errno.EACCES, "Permission denied"), False),
        (ValueError("a shape"), False),
    ],
)
def test_an_error_is_named_with_its_place(error: Exception, is_disk_full: bool) -> None:
    failure = take_failure("trial 0", raised(error))
    assert failure.is_disk_full is is_disk_full
    assert failure.text.startswith(f"{type(error).__name__}: {error} (test_exceptions.py:")


def test_what_the_frames_held_is_given_back() -> None:
    seen: list[weakref.ref[torch.Tensor]] = []

    def train() -> None:
        tensor = torch.zeros(8)
        seen.append(weakref.ref(tensor))
        raise torch.OutOfMemoryError("CUDA out of memory")

    try:
        train()
    except torch.OutOfMemoryError as error:
        caught = error
    assert seen[0]() is not None
    take_failure("trial 0", caught)
    gc.collect()
    assert seen[0]() is None


def test_a_dying_loader_that_interrupts_the_report_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    extract, calls = traceback.extract_tb, []

    def interrupted(*arguments: Any) -> traceback.StackSummary:
        calls.append(arguments)
        if len(calls) == 1:
            raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.")
        return extract(*arguments)

    monkeypatch.setattr("mlgsearch.study.cluster.exceptions.traceback.extract_tb", interrupted)
    failure = take_failure("trial 0", raised(ValueError("first")))
    assert isinstance(failure, Failure)
    assert failure.text.startswith("RuntimeError: DataLoader worker (pid 7) is killed")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            "Failure # 1 (occurred at 2026-11-28_12-00-00)\n"
            "The actor died because of an error raised in its creation task, "
            "\x1b[36mray::TrialWorker.__init__()\x1b[39m (pid=7, ip=127.0.0.1)\n"
            "                  ^^^^^^^^^^^^^^\n"
            '  File "/somewhere/profile.py", line 1, in <module>\n'
            "RuntimeError: a file of the user was imported\n\n",
            "RuntimeError: a file of the user was imported",
        ),
        (
            "Failure # 1 (occurred at 2026-11-28_12-00-00)\n"
            "The actor died unexpectedly before finishing this task.\n\tclass_name: TrialWorker\n"
            "The actor is dead because its worker process has died. Worker exit type: "
            "SYSTEM_ERROR Worker exit detail: Worker unexpectedly exits with exit code 3.\n",
            "Worker unexpectedly exits with exit code 3.",
        ),
        (
            "Failure # 1 (occurred at 2026-11-28_12-00-00)\n"
            "1 worker(s) were killed due to the node running low on memory. Memory on the node was "
            "15.2GB / 16.0GB (0.95), which exceeds the memory usage threshold of 0.95.\n",
            f"Ray ended it, for the machine or its container ran out of memory: {LESS_MEMORY}",
        ),
        (
            "Failure # 1 (occurred at 2026-11-28_12-00-00)\n"
            "The actor died because of an error raised in its creation task, "
            "ray::TrialWorker.__init__() (pid=7, ip=127.0.0.1)\n"
            '  File "/somewhere/monitor.py", line 1, in <module>\n'
            "RuntimeError: the printer is low on memory\n",
            "RuntimeError: the printer is low on memory",
        ),
        ("Failure # 1 (occurred at 2026)\nThe node died.", "The node died."),
        ("x" * 9_000, "x" * 500 + "..."),
        ("", "Ray does not say why"),
    ],
)
def test_why_a_worker_died_is_told_in_a_line(said: str, reason: str) -> None:
    assert death_reason(said) == reason
