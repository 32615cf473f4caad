from pathlib import Path

import pytest

from mlgsearch.errors import StudyFileError
from mlgsearch.study.file.study_file import load_study_file, parse_study

STUDIES = Path(__file__).parents[3] / "studies"


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.yaml")), ids=lambda path: path.name)
def test_the_shipped_studies_are_valid(path: Path) -> None:
    spec, text = load_study_file(path)
    assert text == path.read_text()
    assert parse_study(spec.content(), "database") == spec


def test_paths_are_taken_from_the_files_folder(tmp_path: Path) -> None:
    file = tmp_path / "studies" / "x.yaml"
    file.parent.mkdir()
    file.write_text(
        "name: x\ndata: {name: folder, root: ../images}\nteacher: {checkpoint: /a/teacher.pt}\n"
    )
    spec, _ = load_study_file(file)
    assert spec.data.root == str(tmp_path / "images")
    assert spec.teacher.checkpoint == "/a/teacher.pt"


def test_a_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    file = tmp_path / "x.yaml"
    file.write_text("name: x\ndata: {name: folder, root: ~/images}\n")
    assert load_study_file(file)[0].data.root == "/home/somebody/images"


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"
    with pytest.raises(StudyFileError) as caught:
        load_study_file(path)
    assert str(caught.value) == f"{path}: no such file"


def test_a_folder_or_bytes_that_are_no_text_say_so(tmp_path: Path) -> None:
    with pytest.raises(StudyFileError, match="cannot be read"):
        load_study_file(tmp_path)
    path = tmp_path / "latin.yaml"
    path.write_bytes("name: Grüße".encode("latin-1"))
    with pytest.raises(StudyFileError, match=r"latin\.yaml: cannot be read: .*utf-8"):
        load_study_file(path)


def test_no_more_is_read_of_an_endless_file_than_a_study_file_may_have() -> None:
    with pytest.raises(StudyFileError, match=r"^/dev/zero: larger than 1000000 bytes"):
        load_study_file(Path("/dev/zero"))
