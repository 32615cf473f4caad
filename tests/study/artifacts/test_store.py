"""One suite for every place that artifacts may be kept in, and what is a store's alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from fsspec.implementations.memory import MemoryFileSystem

from mlgsearch.errors import ArtifactsAwayError, StudyFileError
from mlgsearch.study.artifacts import remote
from mlgsearch.study.artifacts.attempt_folder import LateAttemptError
from mlgsearch.study.artifacts.store import Artifacts, Work, artifacts_of, bytes_in, open_artifacts
from mlgsearch.train.loop import checkpoint
from tests.results.samples import a_study


@pytest.fixture(params=["folder", "file", "memory"])
def artifacts(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Artifacts]:
    places = {
        "folder": str(tmp_path / "study"),
        "file": f"file://{tmp_path}/store/study",
        "memory": f"memory://{tmp_path.name}/study",
    }
    artifacts = open_artifacts(places[request.param])
    artifacts.prepare()
    yield artifacts
    artifacts.delete()


@pytest.fixture
def store(tmp_path: Path) -> Artifacts:
    return open_artifacts(f"file://{tmp_path}/store")


def save(work: Work, value: int) -> None:
    checkpoint.save(work.path, "student", {"a": torch.tensor(value)}, {"value": value})
    work.publish()


def taken(folder: Path) -> object:
    found = checkpoint.load(folder, "student")
    return None if found is None else found.metadata["value"]


def last(artifacts: Artifacts, trial: int) -> object:
    with artifacts.last(trial) as folder:
        return taken(folder)


def test_an_attempt_has_what_the_one_before_published(artifacts: Artifacts) -> None:
    first = artifacts.begin(7, 1)
    assert taken(first.path) is last(artifacts, 7) is None
    for value in (1, 2, 3):
        save(first, value)
    first.close()  # as if its node were gone
    second = artifacts.begin(7, 4)
    assert taken(second.path) == last(artifacts, 7) == 3
    assert len(list(second.path.glob("student-*"))) == 2
    assert last(artifacts, 8) is None
    save(second, 4)
    assert last(artifacts, 7) == 4
    second.close()


def test_the_same_attempt_may_begin_again(artifacts: Artifacts) -> None:
    work = artifacts.begin(0, 2)
    save(work, 1)
    work.close()
    again = artifacts.begin(0, 2)
    assert taken(again.path) == 1
    save(again, 2)
    again.close()
    assert last(artifacts, 0) == 2


def test_a_worker_that_comes_back_late_publishes_nothing_that_is_taken(
    artifacts: Artifacts,
) -> None:
    late = artifacts.begin(0, 1)
    save(late, 1)
    second = artifacts.begin(0, 2)
    for value in (91, 92, 93):  # its machine was cut off, and it trains on
        save(late, value)
    assert taken(second.path) == last(artifacts, 0) == 1
    with pytest.raises(LateAttemptError, match="attempt 1 comes late: attempt 2 has begun"):
        artifacts.begin(0, 1)
    third = artifacts.begin(0, 3)
    assert taken(third.path) == last(artifacts, 0) == 1
    for work in (late, second, third):
        work.close()


def test_what_is_beside_the_attempts_has_attempts_of_its_own(artifacts: Artifacts) -> None:
    work = artifacts.beside(3, "verify-2-1", 1)
    save(work, 5)
    (work.log_folder / "events.jsonl").write_text("one\n")
    work.publish()
    work.close()
    again = artifacts.beside(3, "verify-2-1", 20_001)
    assert taken(again.path) == 5
    assert (again.log_folder / "events.jsonl").read_text() == "one\n"
    again.publish()
    again.close()
    with pytest.raises(LateAttemptError, match="attempt 2 comes late"):
        artifacts.beside(3, "verify-2-1", 2)
    assert last(artifacts, 3) is None


def test_bytes_are_counted_and_all_is_deleted(artifacts: Artifacts) -> None:
    assert artifacts.bytes_used() == 0
    work = artifacts.begin(0, 1)
    (work.path / "a").write_bytes(bytes(700))
    (work.path / "b").write_bytes(bytes(300))
    work.publish()
    assert 1000 <= artifacts.bytes_used() < 1100
    (work.path / "a").unlink()
    work.publish()
    assert 300 <= artifacts.bytes_used() < 400
    artifacts.delete()
    assert artifacts.bytes_used() == 0
    work.close()


def test_a_damaged_checkpoint_in_a_store_is_passed_over(store: Artifacts, tmp_path: Path) -> None:
    work = store.begin(0, 1)
    for value in (1, 2):
        save(work, value)
    path = tmp_path / "store" / "000000" / "attempt-0001" / "student-000002.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert last(store, 0) == 1
    path.write_bytes(whole[: len(whole) // 2])
    second = store.begin(0, 2)
    assert taken(second.path) == 1
    second.close()
    work.close()


def test_what_was_sent_by_half_is_not_taken(
    store: Artifacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "_WAITS_S", ())
    work = store.begin(0, 1)
    save(work, 1)
    # Its node dies before the file has its name: what is there has another.
    with monkeypatch.context() as patch:
        patch.setattr(remote.RemoteArtifacts, "send", _send_half)
        save(work, 2)
    assert any(p.name.startswith(".") for p in (tmp_path / "store").rglob("*"))
    assert last(store, 0) == 1
    work.close()


def _send_half(self: remote.RemoteArtifacts, path: Path, name: str) -> None:
    folder, _, last_part = name.rpartition("/")
    half = path.read_bytes()[:100]
    self._fs.pipe_file(f"{folder}/.{last_part}.dead", half)


def test_a_copy_that_does_not_go_through_at_once_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(remote, "_WAITS_S", (0.0, 0.0))
    store = open_artifacts(f"memory://{tmp_path.name}")
    put, failing = MemoryFileSystem.put_file, [2]

    def fails(*arguments: object, **options: object) -> object:
        failing[0] -= 1
        if failing[0] >= 0:
            raise ConnectionError("no route")
        return put(*arguments, **options)

    monkeypatch.setattr(MemoryFileSystem, "put_file", fails)
    work = store.begin(0, 1)
    save(work, 1)
    assert last(store, 0) == 1
    failing[0] = 3
    with pytest.raises(ArtifactsAwayError, match=r"writing failed at memory.*no route"):
        save(work, 2)
    failing[0] = 0
    work.publish()
    assert last(store, 0) == 2
    work.close()
    store.delete()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nowhere://a/b", "Protocol not known: nowhere"),
        ("reference://a", "missing 1 required positional argument"),
    ],
)
def test_a_store_that_is_not_known_is_reported(url: str, said: str) -> None:
    with pytest.raises(ArtifactsAwayError, match=said):
        open_artifacts(url)


def test_a_store_that_refuses_is_told_before_any_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = open_artifacts(f"file://{tmp_path}/file/store")
    with pytest.raises(
        ArtifactsAwayError, match=r"resources.artifact_path: writing failed at file"
    ):
        store.prepare()


def test_a_stored_study_cannot_ask_for_what_a_study_file_may_not(tmp_path: Path) -> None:
    study = a_study(content={"resources": {"artifact_path": "dir::file:///etc"}})
    with pytest.raises(StudyFileError, match=r"'digits': resources.artifact_path: .*chains"):
        artifacts_of(study, tmp_path)


def test_bytes_are_those_of_all_files_below(tmp_path: Path) -> None:
    assert bytes_in(tmp_path / "nowhere") == 0
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_bytes(bytes(700))
    (tmp_path / "d").write_bytes(bytes(300))
    (tmp_path / "e").symlink_to(tmp_path / "a")  # counted once
    assert 1000 <= bytes_in(tmp_path) < 1100
