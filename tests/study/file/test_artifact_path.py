from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlgsearch.errors import StudyFileError
from mlgsearch.study.file.artifact_path import artifact_place
from mlgsearch.study.file.study_file import load_study_file
from tests.results.samples import a_study
from tests.study.samples import a_spec

RUNS = Path("/runs")


def place(artifact_path: str | None) -> str:
    spec = a_spec(resources={"artifact_path": artifact_path})
    study = replace(a_study(content=spec.content()), created_at=datetime(2026, 1, 1, tzinfo=UTC))
    return artifact_place(study, RUNS)


def test_a_study_has_a_folder_of_its_own_wherever_it_is() -> None:
    name = Path(place(None)).name
    assert name.startswith("digits-")
    assert place(None) == f"/runs/{name}"
    assert place("/mnt/shared/") == f"/mnt/shared/{name}"
    assert place("s3://bucket/folder/") == f"s3://bucket/folder/{name}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("s3://key:hunter2@bucket/a", "write no password or token into it"),
        ("https://host/a?token=hunter2", "write no password or token into it"),
        ("simplecache::s3://bucket/a", "write one URL"),
        ("", "at least 1 character"),
    ],
)
def test_what_may_not_stand_in_a_study_file(text: str, said: str) -> None:
    with pytest.raises(StudyFileError, match=said) as refused:
        a_spec(resources={"artifact_path": text})
    assert "hunter2" not in str(refused.value)


def test_it_changes_no_result() -> None:
    assert a_spec().content_hash() == a_spec(resources={"artifact_path": "/a"}).content_hash()


def test_a_folder_is_taken_from_the_files_own_and_a_url_is_not(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    found = []
    for text in ("kept", "s3://bucket/kept"):
        file.write_text(f"name: x\nresources: {{artifact_path: '{text}'}}\n")
        found.append(load_study_file(file)[0].resources.artifact_path)
    assert found == [str(tmp_path / "kept"), "s3://bucket/kept"]
