from pathlib import Path

import psutil
import pytest

from mlgsearch.train.data.memory import available_memory

GB = 10**9
V2 = ("memory.max", "memory.current", "inactive_file {}\nactive_file 0\n")
V1 = (
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    "active_file 7\ntotal_inactive_file {}\ntotal_active_file 0\n",
)


@pytest.fixture(autouse=True)
def _a_machine_with_much_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    class Much:
        available = 500 * GB

    monkeypatch.setattr(psutil, "virtual_memory", Much)


def group(folder: Path, names: tuple[str, str, str], limit: object, usage: int, files: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{usage}\n")
    (folder / "memory.stat").write_text("anon 5\n" + names[2].format(files))


def found(tmp_path: Path, line: str) -> int:
    (tmp_path / "membership").write_text(f"5:cpu:/elsewhere\n{line}\n")
    return available_memory(tmp_path / "membership", tmp_path / "mount")


@pytest.mark.parametrize(
    ("names", "line", "root"), [(V2, "0::/a/b", "mount"), (V1, "4:memory:/a/b", "mount/memory")]
)
def test_the_tightest_group_around_counts_without_pages_of_files(
    tmp_path: Path, names: tuple[str, str, str], line: str, root: str
) -> None:
    group(tmp_path / root / "a" / "b", names, 8 * GB, 3 * GB, 1 * GB)
    assert found(tmp_path, line) == 6 * GB
    group(tmp_path / root / "a", names, 4 * GB, 2 * GB, 0)
    assert found(tmp_path, line) == 2 * GB
    group(tmp_path / root / "a", names, 4 * GB, 5 * GB, 0)
    assert found(tmp_path, line) == 0


def test_a_group_without_a_limit_limits_nothing(tmp_path: Path) -> None:
    group(tmp_path / "mount" / "a", V2, "max", 3 * GB, 0)
    assert found(tmp_path, "0::/a") == 500 * GB
    group(tmp_path / "mount" / "memory" / "a", V1, 2**63 - 4096, 3 * GB, 0)
    assert found(tmp_path, "4:memory:/a") == 500 * GB


def test_inside_a_container_the_group_is_the_root(tmp_path: Path) -> None:
    group(tmp_path / "mount" / "memory", V1, 2 * GB, 1 * GB, 0)
    assert found(tmp_path, "4:memory:/docker/0123456789ab") == 1 * GB


def test_no_groups_at_all(tmp_path: Path) -> None:
    assert available_memory(tmp_path / "none", tmp_path / "none") == 500 * GB
