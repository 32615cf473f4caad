from pathlib import Path

import pytest

from mlgsearch.errors import DiskFullError
from mlgsearch.study.disk_bound import DiskBound, bytes_in


def test_bytes_are_those_of_all_files_below(tmp_path: Path) -> None:
    assert bytes_in(tmp_path / "nowhere") == 0
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_bytes(bytes(700))
    (tmp_path / "d").write_bytes(bytes(300))
    (tmp_path / "e").symlink_to(tmp_path / "a")  # counted once
    assert 1000 <= bytes_in(tmp_path) < 1100


def test_a_study_that_reached_its_bound_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(2000))
    DiskBound(tmp_path, None).check()
    DiskBound(tmp_path, 1e-5).check()
    with pytest.raises(DiskFullError, match=r"takes 2e-06 GB, more than resources.max_disk_gb: 1e"):
        DiskBound(tmp_path, 1e-6).check()


def test_it_looks_now_and_then_only(tmp_path: Path) -> None:
    bound = DiskBound(tmp_path, 1e-6)
    bound.check()
    (tmp_path / "a").write_bytes(bytes(2000))
    bound.check()
