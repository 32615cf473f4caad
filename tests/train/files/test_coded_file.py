"""The coded file: the packed file's tensors in fewer bytes."""

from pathlib import Path

import pytest
import torch

from mlgsearch.errors import DataError, UserError
from mlgsearch.train.files.coded_file import write_coded
from mlgsearch.train.files.packed_file import load_packed, packed_bytes, read_packed, to_bytes
from tests.train.files.test_packed_file import a_student


@pytest.mark.parametrize("norm_bits", [16, 32])
@pytest.mark.parametrize("method", ["dorefa", "lsq", "lsq_symmetric"])
def test_it_holds_what_the_packed_file_holds(tmp_path: Path, method: str, norm_bits: int) -> None:
    torch.manual_seed(0)
    network, card = a_student(method=method, norm_bits=norm_bits)
    path = tmp_path / "a.mlg"
    size = write_coded(path, network, card)
    packed = to_bytes(network, card)
    assert size == path.stat().st_size < 0.9 * len(packed)
    assert packed_bytes(*read_packed(path)) == packed
    (tmp_path / "a.safetensors").write_bytes(packed)
    images = torch.randn(3, *card.input_shape)
    opened = load_packed(path)
    assert torch.equal(opened(images), load_packed(tmp_path / "a.safetensors")(images))


def test_what_was_altered_or_cut_is_refused(tmp_path: Path) -> None:
    network, card = a_student()
    path = tmp_path / "a.mlg"
    write_coded(path, network, card)
    content = path.read_bytes()
    for at in range(4, len(content), 97):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(DataError, match=r"a\.mlg: truncated or altered"):
            read_packed(path)
    for length in (4, 5, 40, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(DataError, match="truncated or altered"):
            read_packed(path)


def test_a_network_with_other_tensors_is_refused(tmp_path: Path) -> None:
    network, card = a_student()
    network.register_buffer("steps", torch.zeros(3, dtype=torch.int64))
    with pytest.raises(UserError, match=r"keeps 'other\..*steps', which a coded file cannot hold"):
        write_coded(tmp_path / "a.mlg", network, card)
    assert not (tmp_path / "a.mlg").exists()
