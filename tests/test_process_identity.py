"""What is known of a process, with real ones, in this namespace and in another."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlgsearch import process_identity as module
from mlgsearch.process_identity import is_gone, process_identity

#: Judges a process from wherever it runs.
JUDGE = (
    "import sys; from mlgsearch.process_identity import is_gone, process_identity;"
    "print(is_gone(int(sys.argv[1]), sys.argv[2]), process_identity())"
)
#: Starts a program as its own container would: as process 1, with its own /proc.
ELSEWHERE = ["unshare", "--pid", "--fork", "--mount-proc"]


def judge(before: list[str]) -> tuple[bool, str]:
    """Have another process judge this one; return what it says, and who it is."""
    words = [*before, sys.executable, "-c", JUDGE, str(os.getpid()), process_identity()]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    answer, _, identity = done.stdout.strip().partition(" ")
    return answer == "True", identity


def may_unshare() -> bool:
    """Return whether this user may make namespaces here."""
    return subprocess.run([*ELSEWHERE, "true"], capture_output=True, check=False).returncode == 0


def test_it_is_the_same_each_time_and_anothers_is_another() -> None:
    assert process_identity() == process_identity() != ""
    is_judged_gone, another = judge([])
    assert not is_judged_gone
    assert another.split()[:-1] == process_identity().split()[:-1]
    assert another != process_identity()


def test_from_another_namespace_a_live_process_is_not_gone() -> None:
    if not may_unshare():
        pytest.skip("this user may make no PID namespace here")
    is_judged_gone, another = judge(ELSEWHERE)
    assert another.split()[1] != process_identity().split()[1]
    assert not is_judged_gone


def test_a_number_of_another_namespace_says_nothing() -> None:
    boot, numbers, clock, ticks = process_identity().split()
    assert not is_gone(2**22 + 1, f"{boot} {numbers}0 {clock} {ticks}")
    assert is_gone(2**22 + 1, process_identity())


def test_where_proc_says_nothing_nothing_is_concluded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = process_identity()
    monkeypatch.setattr(module, "_PROC", tmp_path)
    assert process_identity() == ""
    assert not is_gone(2**22 + 1, known)
    assert not is_gone(2**22 + 1, "")
    (tmp_path / "self").symlink_to("1")  # the /proc of another namespace
    assert process_identity() == ""


def test_another_users_process_that_proc_hides_is_not_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    def hide(pid: int) -> tuple[str, int]:
        if pid == os.getpid():
            return "R", 5
        raise FileNotFoundError

    monkeypatch.setattr(module, "_stat", hide)
    assert not is_gone(os.getppid(), process_identity())


def test_a_setting_of_the_clock_changes_nothing() -> None:
    """The identity holds no time by the wall clock, whatever /proc/stat says of the boot."""
    boot, numbers, _, ticks = process_identity().split()
    uptime_s = float(Path("/proc/uptime").read_text().split()[0])
    assert 0 < int(ticks) / os.sysconf("SC_CLK_TCK") <= uptime_s
    assert boot == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert numbers == str(Path("/proc/self/ns/pid").readlink())
