from pathlib import Path

import pytest

from mlgsearch.errors import DiskFullError
from mlgsearch.study.artifacts.disk_limit import DiskBound
from mlgsearch.study.artifacts.store import FolderArtifacts


def test_a_study_that_reached_its_bound_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(2000))
    DiskBound(FolderArtifacts(tmp_path), None).check()
    DiskBound(FolderArtifacts(tmp_path), 1e-5).check()
    with pytest.raises(DiskFullError, match=r"takes 2e-06 GB, more than resources.max_disk_gb: 1e"):
        DiskBound(FolderArtifacts(tmp_path), 1e-6).check()


def test_it_looks_now_and_then_only(tmp_path: Path) -> None:
    bound = DiskBound(FolderArtifacts(tmp_path), 1e-6)
    bound.check()
    (tmp_path / "a").write_bytes(bytes(2000))
    bound.check()
