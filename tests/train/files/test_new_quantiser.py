"""A quantiser is a class with a line in one table, and a decoder with a line in another."""

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from mlgsearch.errors import UserError
from mlgsearch.mlg.kinds import compressible_layers
from mlgsearch.mlg.packing.packed import unpack_network
from mlgsearch.mlg.quantise import QUANTISERS, SymmetricLsqQuantiser
from mlgsearch.train.files.c.c_folder import write_c
from mlgsearch.train.files.onnx.body import Body
from mlgsearch.train.files.onnx.functions import DECODERS
from mlgsearch.train.files.packed_file import read_packed, write_packed
from mlgsearch.train.spec import QuantisationSpec
from tests.train.files.onnx.test_onnx_file import Mixed, a_student, check

SHAPE = (3, 12, 12)


class Reversed(SymmetricLsqQuantiser):
    """A quantiser that only this test knows: the symmetric one, its codes counted from the top."""

    def encode(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        codes, scales = super().encode(latent)
        return 2**self.bits - 1 - codes, scales

    def decode(self, codes: Tensor, scales: Tensor) -> Tensor:
        return super().decode(2**self.bits - 1 - codes, scales)


def _reversed(body: Body, code: str, levels: str, scales: str) -> str:
    top = body.op("Sub", levels, body.number(1.0))
    middle = body.op("Div", top, body.number(2.0))
    return body.op("Mul", body.op("Sub", middle, code), scales)


@pytest.fixture
def new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(QUANTISERS, "reversed", Reversed)
    monkeypatch.setitem(DECODERS, "reversed", _reversed)


@pytest.mark.usefixtures("new")
@torch.no_grad()
def test_two_lines_add_a_quantiser(tmp_path: Path) -> None:
    assert QuantisationSpec(method="reversed").method == "reversed"
    torch.manual_seed(0)
    network, card = a_student(Mixed(), SHAPE, method="reversed")
    assert any(isinstance(module, Reversed) for module in network.modules())
    path = tmp_path / "student.safetensors"
    write_packed(path, network, card)
    read, tensors = read_packed(path)
    opened = Mixed()
    settings = dict(zip(compressible_layers(opened), read.settings, strict=True))
    unpack_network(opened, settings, read.method, tensors)
    images = torch.randn(3, *SHAPE)
    torch.testing.assert_close(opened.eval()(images), network(images), rtol=1e-4, atol=1e-4)
    check(network, card)


@pytest.mark.usefixtures("new")
def test_a_program_in_c_is_refused_for_it(tmp_path: Path) -> None:
    network, card = a_student(Mixed(), SHAPE, method="reversed")
    with pytest.raises(UserError, match="no C program decodes reversed; it knows dorefa, lsq"):
        write_c(tmp_path / "c", network, card)


def test_every_quantiser_has_a_decoder_for_onnx() -> None:
    assert DECODERS.keys() == QUANTISERS.keys()


def test_an_unknown_one_is_refused_with_the_known() -> None:
    with pytest.raises(ValidationError, match="Input should be 'dorefa', 'lsq' or 'lsq_symmetric'"):
        QuantisationSpec(method="reversed")
