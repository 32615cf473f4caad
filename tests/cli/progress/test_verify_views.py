"""The progress of `verify`, on a terminal and without one."""

import io
from collections.abc import Iterator

import pytest
from rich.console import Console

from mlgsearch.cli.progress.verify_lines import VerifyLines, describe_stopping
from mlgsearch.cli.progress.verify_live import VerifyLive
from mlgsearch.records import TrialState, VerificationRecord
from tests.results.samples import a_study, a_verification

WAITING = VerificationRecord(1, 7, 10, TrialState.WAITING)
RUNNING = VerificationRecord(1, 7, 10, TrialState.RUNNING, epochs_done=4, validation_accuracy=0.875)
FAILED = VerificationRecord(1, 7, 10, TrialState.FAIL, error="[/] no memory")


def test_plain_lines() -> None:
    out = io.StringIO()
    lines = VerifyLines(out)
    lines.preparing("logits", 1, 1, "seed 1")
    lines.notice("no node has room")
    lines.started(a_study(), [a_verification(0, 7), FAILED, a_verification(1, 8), WAITING], 2)
    lines.run(RUNNING)
    lines.run(FAILED)
    lines.run(a_verification(1, 7, 0.9, packed_accuracy=0.8))
    lines.stopping(2)
    assert out.getvalue().splitlines() == [
        "logits: 1/1 seed 1",
        "warning: no node has room",
        "verify digits: 2 trials under 2 seeds, 2 of 4 trainings finished, 2 at once",
        "[3/4] trial 1, seed 7 FAIL: [/] no memory",
        "[4/4] trial 1, seed 7: test 90.00%, packed 80.00%",
        "stopping: 2 trainings finish their epoch; Ctrl-C again stops at once",
    ]


@pytest.mark.parametrize(
    ("running", "said"),
    [
        (0, "stopping"),
        (1, "stopping: 1 training finishes its epoch; Ctrl-C again stops at once"),
    ],
)
def test_what_is_waited_for_is_reported(running: int, said: str) -> None:
    assert describe_stopping(running) == said


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def view(out: io.StringIO) -> Iterator[VerifyLive]:
    with VerifyLive(Console(file=out, width=80, force_terminal=False)) as view:
        yield view


def drawn(view: VerifyLive) -> list[str]:
    console = Console(file=io.StringIO(), width=80)
    console.print(view._draw())
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines() if line.strip()]


def test_stages_come_before_the_first_training(view: VerifyLive) -> None:
    view.preparing("logits", 3, 20, "seed 1")
    (line,) = drawn(view)
    assert "3/20" in line
    assert "seed 1" in line


def test_running_trainings_and_the_time_left_are_drawn(
    view: VerifyLive, out: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlgsearch.cli.progress.stage_view.time.monotonic", lambda: 1000.0)
    view.started(a_study("digits [x]"), [a_verification(0, 7), WAITING], 2)
    head = "verify digits [x]: 2 trials under 1 seed, 1 of 2 trainings finished"
    assert drawn(view) == [head]
    monkeypatch.setattr("mlgsearch.cli.progress.stage_view.time.monotonic", lambda: 1040.0)
    view.run(RUNNING)
    assert drawn(view) == [
        head,
        "about 1 min left",
        "  trial 1  seed 7  epoch 4/10  validation 87.50%",
    ]
    view.stopping(1)
    assert drawn(view)[1].startswith("stopping: 1 training finishes")
    view.run(FAILED)
    assert "trial 1, seed 7 FAIL: [/] no memory" in out.getvalue()
    assert len(drawn(view)) == 2
