"""The shared memory that containers leave of a machine."""

import os
import subprocess
import sys
from pathlib import Path

from mlgsearch.study.cluster.machine import shared_memory_warning
from tests.mounts import needs


def test_shared_memory_that_is_too_small_is_told_of(tmp_path: Path) -> None:
    found = os.statvfs(tmp_path)
    free = found.f_bavail * found.f_frsize
    assert shared_memory_warning(free // 2, tmp_path) is None
    said = shared_memory_warning(2 * free + 1_000_000, tmp_path)
    assert said is not None
    assert "--shm-size" in said
    assert shared_memory_warning(10, tmp_path / "none") is None


SMALL = """
from mlgsearch.study.cluster.machine import shared_memory_warning
print(shared_memory_warning(50_000_000))
print(shared_memory_warning(100_000_000))
"""


@needs("unshare", "--mount")
def test_a_containers_64_megabytes_are_told_of() -> None:
    mount = "mount -t tmpfs -o size=64m none /dev/shm"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", f"{mount} && exec {sys.executable} -c '{SMALL}'"],
        capture_output=True,
        text=True,
        check=True,
    )
    fits, does_not = done.stdout.splitlines()
    assert fits == "None"
    assert does_not.startswith("/dev/shm has 67 MB free, but the data that go to the workers")
