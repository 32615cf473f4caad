"""What control groups and batch systems leave of a machine."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from mlgsearch.control_groups import processors

HERE = len(os.sched_getaffinity(0))


def group(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)


def test_without_groups_it_is_what_the_process_is_bound_to(tmp_path: Path) -> None:
    assert processors(tmp_path / "none", tmp_path) == HERE
    one = "from mlgsearch.control_groups import processors; print(processors())"
    bound = subprocess.run(
        ["taskset", "-c", "0", sys.executable, "-c", one],
        capture_output=True,
        text=True,
        check=True,
    )
    assert bound.stdout == "1\n"


@pytest.mark.parametrize(
    ("quota", "expected"), [("100000 100000", 1), ("50000 100000", 1), ("max 100000", HERE)]
)
def test_version_2(tmp_path: Path, quota: str, expected: int) -> None:
    membership = tmp_path / "membership"
    membership.write_text("0::/pod/container\n")
    group(tmp_path / "pod" / "container", {"cpu.max": "max 100000\n"})
    group(tmp_path / "pod", {"cpu.max": f"{quota}\n"})
    assert processors(membership, tmp_path) == expected


@pytest.mark.parametrize(("quota", "expected"), [("100000", 1), ("-1", HERE)])
def test_version_1(tmp_path: Path, quota: str, expected: int) -> None:
    membership = tmp_path / "membership"
    membership.write_text("4:cpu,cpuacct:/docker/abc\n3:memory:/docker/abc\n")
    # As a container sees it: the path is the host's, the mount its own group.
    files = {"cpu.cfs_quota_us": f"{quota}\n", "cpu.cfs_period_us": "100000\n"}
    group(tmp_path / "cpu", files)
    assert processors(membership, tmp_path) == expected


CPU_GROUPS = (Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup"))


@pytest.fixture
def half_a_processor() -> Iterator[Path]:
    """A real control group that gives half of one processor's time."""
    for mount in CPU_GROUPS:
        folder = mount / f"mlgsearch-test-{os.getpid()}"
        try:
            folder.mkdir()
            if (folder / "cpu.max").exists():
                (folder / "cpu.max").write_text("50000 100000")
            else:
                (folder / "cpu.cfs_quota_us").write_text("50000")
        except OSError:
            with suppress(OSError):
                folder.rmdir()
            continue
        yield folder
        folder.rmdir()
        return
    pytest.skip("no control group can be made here")


def test_a_real_group(half_a_processor: Path) -> None:
    program = "from mlgsearch.control_groups import processors; print(processors())"
    join = f"echo $$ > {half_a_processor}/cgroup.procs && exec {sys.executable} -c '{program}'"
    done = subprocess.run(["sh", "-c", join], capture_output=True, text=True)
    assert done.stdout == "1\n", done.stderr
