import os
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from mlgsearch.train.tensor_file import DamagedFileError, read_tensors, write_tensors
from mlgsearch.train.tensor_writer import TensorWriter

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(7), "c": torch.empty(0, 2)}
METADATA = {"x": 0.1 + 0.2, "y": [1, None], "z": "ü"}


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("file") / "t.safetensors"
    write_tensors(path, TENSORS, METADATA)
    return path.read_bytes()


def test_comes_back_exactly(tmp_path: Path) -> None:
    path = tmp_path / "new" / "t.safetensors"
    write_tensors(path, TENSORS, METADATA)
    tensors, metadata = read_tensors(path)
    assert metadata == METADATA
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert torch.equal(tensors[name], tensor)
        assert tensors[name].dtype == tensor.dtype
    assert load_file(path).keys() == TENSORS.keys()
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_tensors_that_share_memory_or_are_strided(tmp_path: Path) -> None:
    whole = torch.arange(12.0).reshape(1, 3, 2, 2)
    tensors = {
        "whole": whole,
        "row": whole[0, 1],
        "last": whole.to(memory_format=torch.channels_last),
    }
    write_tensors(tmp_path / "t.safetensors", tensors, {})
    for name, tensor in read_tensors(tmp_path / "t.safetensors")[0].items():
        assert torch.equal(tensor, tensors[name])


@settings(max_examples=150)
@given(st.data())
def test_any_flipped_bit_is_noticed_or_harmless(
    content: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    position = data.draw(st.integers(0, len(content) - 1))
    altered = bytearray(content)
    altered[position] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path_factory.mktemp("flip") / "t.safetensors"
    path.write_bytes(altered)
    try:
        tensors, metadata = read_tensors(path)
    except DamagedFileError:
        return
    assert metadata == METADATA
    assert all(torch.equal(tensors[name], tensor) for name, tensor in TENSORS.items())


def test_flipped_data_and_every_cut_are_noticed(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "t.safetensors"
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(DamagedFileError, match="is altered"):
        read_tensors(path)
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(DamagedFileError, match="truncated"):
            read_tensors(path)


def test_a_foreign_file_and_a_missing_one(tmp_path: Path) -> None:
    path = tmp_path / "t.safetensors"
    with pytest.raises(FileNotFoundError):
        read_tensors(path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(DamagedFileError, match="not written by mlgsearch"):
        read_tensors(path)


def test_nobody_else_may_write_to_it_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_tensors(tmp_path / "new" / "a.safetensors", {"x": torch.zeros(2)}, {})
        path = tmp_path / "newer" / "b.safetensors"
        with TensorWriter(path, "x", (2, 2), "uint8") as writer:
            writer.commit({})
    finally:
        os.umask(before)
    for folder in (tmp_path / "new", tmp_path / "newer"):
        (file,) = folder.iterdir()
        assert [path.stat().st_mode & 0o777 for path in (folder, file)] == [0o755, 0o644]


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.safetensors"
    write_tensors(path, TENSORS, METADATA)

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space"):
        write_tensors(path, {"a": torch.ones(1)}, {})
    assert read_tensors(path)[1] == METADATA
    assert list(tmp_path.iterdir()) == [path]
