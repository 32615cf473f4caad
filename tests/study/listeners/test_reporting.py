"""Listeners see what a driver does, and never stop it."""

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from mlgsearch.errors import UserError
from mlgsearch.records import EpochRecord, StudyRecord, TrialRecord, TrialState
from mlgsearch.study.listeners.reporting import Reporting
from tests.results.samples import a_complete, a_study, a_trial, an_epoch


class Screen:
    """What the driver's own view was called with."""

    def __init__(self) -> None:
        self.notices: list[str] = []
        self.seen: list[object] = []

    def preparing(self, stage: str, done: int, total: int, note: str) -> None:
        self.seen.append((stage, done, total, note))

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def started(self, study: StudyRecord, trials: Sequence[TrialRecord], at_once: int) -> None:
        self.seen.append(study.name)

    def trial(self, record: TrialRecord, epochs: Sequence[EpochRecord]) -> None:
        self.seen.append((record.number, record.state, len(epochs)))


class Diary:
    """Writes down its calls; raises at those named."""

    name = "diary"

    def __init__(self, *raises_at: str) -> None:
        self.lines: list[str] = []
        self._raises_at = raises_at

    def begin(self, study: StudyRecord) -> None:
        self._write(f"begin {study.name}")

    def epochs(self, trial: TrialRecord, epochs: Sequence[EpochRecord]) -> None:
        self._write(f"epochs {trial.number}: {[epoch.epoch for epoch in epochs]}")

    def end(self, trial: TrialRecord, packed: Path | None) -> None:
        content = None if packed is None else packed.read_bytes()
        self._write(f"end {trial.number} {trial.state} {content!r}")

    def close(self) -> None:
        self._write("close")

    def _write(self, line: str) -> None:
        self.lines.append(line)
        if line.split()[0] in self._raises_at:
            raise ConnectionError(f"no answer to {line.split()[0]}\nat all")


def pack(number: int, out: Path) -> None:
    out.write_bytes(b"student %d" % number)


def report(reporting: Reporting) -> None:
    reporting.preparing("teacher", 1, 2, "")
    reporting.started(a_study(), [], 2)
    reporting.trial(a_trial(0), [])
    reporting.trial(a_trial(0), [an_epoch(1), an_epoch(2)])
    reporting.trial(a_complete(0, 0.9, 0.02), [])
    reporting.trial(a_trial(1, state=TrialState.FAIL, error="no"), [])
    reporting.close(60)


def test_a_study_is_reported_in_order() -> None:
    screen, diary = Screen(), Diary()
    report(Reporting(screen, [diary], pack))
    assert diary.lines == [
        "begin digits",
        "epochs 0: []",
        "epochs 0: [1, 2]",
        "end 0 COMPLETE b'student 0'",
        "end 1 FAIL None",
        "close",
    ]
    assert screen.seen[:2] == [("teacher", 1, 2, ""), "digits"]
    assert len(screen.seen) == 6
    assert screen.notices == []


def test_a_listener_that_raises_is_dropped_with_one_notice_and_others_go_on() -> None:
    screen, broken, diary = Screen(), Diary("epochs"), Diary()
    report(Reporting(screen, [broken, diary], pack))
    assert broken.lines == ["begin digits", "epochs 0: []"]
    assert diary.lines[-1] == "close"
    assert screen.notices == [
        "listeners.diary: no answer to epochs: nothing more is reported to it"
    ]


def test_a_packed_file_that_is_not_there_yet_is_waited_for() -> None:
    tries: list[int] = []

    def late(number: int, out: Path) -> None:
        tries.append(number)
        if len(tries) < 3:
            raise UserError("trial 0 is RUNNING")
        pack(number, out)

    diary = Diary()
    report(Reporting(Screen(), [diary], late))
    assert "end 0 COMPLETE b'student 0'" in diary.lines
    assert diary.lines[-1] == "close"


@pytest.mark.parametrize(
    "error", [UserError("the store is away"), OperationalError("", None, Exception()), OSError()]
)
def test_a_trial_whose_file_never_comes_is_ended_without_it(error: Exception) -> None:
    def never(number: int, out: Path) -> None:
        raise error

    diary = Diary()
    report(Reporting(Screen(), [diary], never))
    assert diary.lines[-2:] == ["end 0 COMPLETE None", "close"]


def test_a_file_that_never_comes_is_not_tried_for_ever() -> None:
    tries: list[int] = []

    def never(number: int, out: Path) -> None:
        tries.append(number)
        raise RuntimeError("damaged")

    diary = Diary()
    reporting = Reporting(Screen(), [diary], never)
    reporting.started(a_study(), [], 2)
    reporting.trial(a_complete(0, 0.9, 0.02), [])
    for _ in range(100):
        reporting.trial(a_trial(1), [])
    reporting.close(60)
    assert 2 <= len(tries) <= 30
    assert diary.lines.count("end 0 COMPLETE None") == 1


def test_the_end_waits_for_a_listener_that_hangs_only_so_long() -> None:
    is_free = threading.Event()

    class Hanging(Diary):
        def begin(self, study: StudyRecord) -> None:
            is_free.wait(60)

    screen = Screen()
    reporting = Reporting(screen, [Hanging()], pack)
    reporting.started(a_study(), [], 2)
    reporting.close(0.05)
    is_free.set()
    assert screen.notices == [
        "listeners: diary did not take everything within 0.05 s: what is left is not reported; "
        "the database has it"
    ]


def test_no_file_is_packed_once_every_listener_is_dropped() -> None:
    packed: list[int] = []
    report(Reporting(Screen(), [Diary("begin")], lambda number, out: packed.append(number)))
    assert packed == []


def test_a_slow_listener_does_not_slow_the_driver() -> None:
    is_free = threading.Event()

    class Slow(Diary):
        def begin(self, study: StudyRecord) -> None:
            is_free.wait(60)
            super().begin(study)

    screen, slow = Screen(), Slow()
    reporting = Reporting(screen, [slow], pack)
    reporting.started(a_study(), [], 2)
    reporting.trial(a_trial(0), [])
    assert screen.seen == ["digits", (0, TrialState.RUNNING, 0)]
    assert slow.lines == []
    is_free.set()
    reporting.close(60)
    assert slow.lines == ["begin digits", "epochs 0: []", "close"]
