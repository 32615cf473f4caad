from pathlib import Path

from mlgsearch.study.artifacts.folder_size import bytes_in


def test_bytes_are_those_of_all_files_below(tmp_path: Path) -> None:
    assert bytes_in(tmp_path / "nowhere") == 0
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_bytes(bytes(700))
    (tmp_path / "d").write_bytes(bytes(300))
    (tmp_path / "e").symlink_to(tmp_path / "a")  # counted once
    assert 1000 <= bytes_in(tmp_path) < 1100
