"""A teacher that comes out otherwise on another number of threads, as on another machine."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from mlgsearch.results.database.connection.engine import open_engine
from mlgsearch.results.database.store import ResultStore
from tests.study.driver import Study


def the_teacher(cache: Path) -> tuple[str, dict[str, Tensor]]:
    """Return the name and the weights of the only teacher in a cache."""
    (path,) = (cache / "teachers").glob("*.safetensors")
    return path.name, load_file(path)


def test_a_study_of_another_teacher_is_not_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caches = [tmp_path / "one", tmp_path / "two"]
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    study = Study(tmp_path, caches[0])
    first = study.start("launch", str(study.file), "--max-parallel", "1", fresh=True)
    first.read_until(lambda event: event["event"] == "epoch")
    first.interrupt()
    first.read_to_end()
    assert first.wait() == 130, first.errors()
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    second = Study(tmp_path, caches[1]).start("resume", "tiny", "--max-parallel", "1", fresh=True)
    events = second.read_to_end()
    code = second.wait()
    (name, weights), (other_name, other) = map(the_teacher, caches)
    assert name == other_name  # of one recipe
    if all(torch.equal(tensor, other[key]) for key, tensor in weights.items()):
        pytest.skip("this processor adds up alike on one thread and on two")
    assert code == 2, second.errors()
    assert {event["event"] for event in events} == {"preparing"}
    engine = open_engine(study.url)
    record = ResultStore(engine).study("tiny")
    engine.dispose()
    assert f"  teacher: {record.teacher_hash[:12]} -> " in second.errors()
    assert record.lineage == ()
