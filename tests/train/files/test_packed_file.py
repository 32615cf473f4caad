"""Packed files: their size, their bits, and that a damaged one is refused."""

import hashlib
import json
import re
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

import mlgsearch
from mlgsearch.errors import DataError
from mlgsearch.mlg.compress import compress
from mlgsearch.mlg.kinds import compressible_layers
from mlgsearch.mlg.network import network_shape, network_sizes
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.mlg.uniform import uniform_settings
from mlgsearch.train.files import packed_file
from mlgsearch.train.files.packed_card import PackedCard
from mlgsearch.train.files.packed_file import (
    PROVENANCE_BYTES,
    load_packed,
    packed_size,
    to_bytes,
    write_packed,
)
from mlgsearch.train.loop.batch_norm import reestimate_batch_norm
from mlgsearch.train.networks.models import build_model
from mlgsearch.train.networks.residual import CifarResNet
from mlgsearch.train.spec import ModelSpec
from tests.fresh_process import printed

TINY = ModelSpec(name="resnet8", width=4)


def a_card(network: nn.Module, found: dict[str, LayerSetting], **changes: Any) -> PackedCard:
    content = {
        "model": TINY,
        "classes": 10,
        "channels": 1,
        "image_size": (8, 8),
        "method": "dorefa",
        "settings": tuple(found[name] for name in compressible_layers(network)),
        "mean": [0.1 + 0.2],
        "std": [1 / 3],
    }
    return PackedCard.model_validate(content | changes)


def a_network(spec: ModelSpec = TINY) -> nn.Module:
    return build_model(spec, classes=10, channels=1, image_size=(8, 8))


def a_student(**changes: Any) -> tuple[nn.Module, PackedCard]:
    network = a_network()
    shape = network_shape(network, (1, 8, 8))
    found = uniform_settings(shape, (2, 6, 3, 6, 5))
    card = a_card(network, found, **changes)
    bits = {"norm_bits": card.norm_bits, "in_bits": card.in_bits}
    compress(network, found, method=card.method, refine_steps=0, **bits)  # type: ignore[arg-type]
    reestimate_batch_norm(network, [torch.randn(4, 1, 8, 8)])
    return network.to(memory_format=torch.channels_last).eval(), card


PROVENANCE = {
    "accuracy": 0.93725,
    "study": 'digits "Ω" \\',
    "trial": 41,
    "teacher": "ab" * 32,
    "versions": "mlgsearch 0.1.0 torch 2.14.1 torchvision 0.29.1",
}


@pytest.fixture(scope="module")
def content() -> bytes:
    torch.manual_seed(0)
    return to_bytes(*a_student(**PROVENANCE))


@pytest.fixture
def file(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "student.safetensors"
    path.write_bytes(content)
    return path


#: Bits of inputs, layer by layer.
EACH = (8, 4, 6, 32, 2, 8, 5, 4, 3, 8)


@pytest.mark.parametrize(
    "changes",
    [{}, {"method": "lsq"}, {"norm_bits": 16}, {"in_bits": 4}, {"in_bits": EACH}],
)
@torch.no_grad()
def test_a_loaded_file_gives_the_students_logits_and_its_card(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    student, card = a_student(**changes, **PROVENANCE)
    write_packed(tmp_path / "a.safetensors", student, card)
    loaded = load_packed(tmp_path / "a.safetensors")
    x = torch.randn(5, 1, 8, 8).contiguous(memory_format=torch.channels_last)
    assert torch.equal(loaded(x), student(x))
    assert not loaded.training
    assert loaded.packed == card
    assert isinstance(loaded.packed, PackedCard)
    assert loaded.packed.mean == tuple(torch.tensor([0.1 + 0.2]).tolist())


def test_any_reader_of_safetensors_opens_it(file: Path) -> None:
    with safe_open(file, framework="pt") as opened:
        assert set(opened.keys()) == {"numbers", "codes", "sha256"}
        assert opened.metadata()["settings"].startswith("0,0,3,0,0 2,")
        assert opened.metadata()["study"] == PROVENANCE["study"]


@pytest.mark.parametrize(
    "provenance",
    [
        {},
        PROVENANCE,
        {"study": "x" * 100, "trial": 999_999, "accuracy": 1.0},
        {"norm_bits": 16},
        {"in_bits": 2, "norm_bits": 16},
        {"in_bits": EACH},
    ],
)
def test_the_size_is_known_before_any_training(provenance: dict[str, Any]) -> None:
    student, card = a_student(**provenance)
    with torch.device("meta"):
        untrained = a_network()
    bare = card.model_copy(update=dict.fromkeys(PROVENANCE, "") | {"accuracy": None, "trial": None})
    assert packed_size(untrained, bare) == len(to_bytes(student, card))


def test_a_network_without_a_width_says_none_and_an_earlier_file_that_does_is_read() -> None:
    card = PackedCard.model_validate(
        {
            "model": ModelSpec(name="resnet18"),
            "classes": 10,
            "channels": 3,
            "image_size": (32, 32),
            "method": "lsq",
            "settings": (LayerSetting.plain(4),),
            "mean": (0.5,) * 3,
            "std": (0.25,) * 3,
        }
    )
    texts = card.to_metadata()
    assert texts["width"] == ""
    assert PackedCard.from_metadata(texts) == card
    earlier = texts | {"width": "16"}
    assert PackedCard.from_metadata(earlier).to_metadata() == earlier
    ours = texts | {"model": "resnet8"}
    with pytest.raises(DataError, match="width is ''"):
        PackedCard.from_metadata(ours)


def test_a_long_provenance_makes_the_file_longer_and_is_kept(tmp_path: Path) -> None:
    student, card = a_student(**(PROVENANCE | {"study": "Ω" * 128}))
    size = write_packed(tmp_path / "a.safetensors", student, card)
    assert size == packed_size(student, card) > len(to_bytes(*a_student()))
    assert load_packed(tmp_path / "a.safetensors").packed == card


@pytest.mark.parametrize("five", [(2, 44, 3, 6, 3), (2, 44, 8, 8, 8)])
def test_resnet18_takes_little_more_than_is_counted(five: Any) -> None:
    spec = ModelSpec(name="resnet18")
    with torch.device("meta"):
        network = build_model(spec, classes=10, channels=3, image_size=(32, 32))
    shape = network_shape(network, (3, 32, 32))
    found = uniform_settings(shape, five)
    changes = {"model": spec, "channels": 3, "image_size": (32, 32)}
    card = a_card(network, found, mean=[0.5] * 3, std=[0.2] * 3, **changes)
    counted = network_sizes(shape, found).bits / 8
    assert counted < packed_size(network, card) <= 1.03 * counted


SCRIPT = """
import sys, torch, mlgsearch
assert "torch.optim.radam" in sys.modules  # torch is there because we asked for it
torch.set_num_threads(1)
network = mlgsearch.load_packed(sys.argv[1])
x = torch.linspace(-1, 1, 3 * 64).reshape(3, 1, 8, 8).contiguous(memory_format=torch.channels_last)
print(network(x).numpy().tobytes().hex())
"""


@torch.no_grad()
def test_a_fresh_process_gives_the_same_logits(tmp_path: Path) -> None:
    student, card = a_student()
    write_packed(tmp_path / "a.safetensors", student, card)
    found = printed(SCRIPT, str(tmp_path / "a.safetensors"))
    x = torch.linspace(-1, 1, 3 * 64).reshape(3, 1, 8, 8)
    expected = student(x.contiguous(memory_format=torch.channels_last))
    assert found.strip() == expected.numpy().tobytes().hex()


def test_the_face_of_the_package_is_lazy() -> None:
    assert mlgsearch.load_packed is load_packed
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        mlgsearch.nothing  # noqa: B018
    loads = "import mlgsearch, sys; print('torch' in sys.modules)"
    assert printed(loads).strip() == "False"


def refused(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        load_packed(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


QUICK = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@QUICK
@given(cut=st.floats(0, 1, exclude_max=True))
def test_every_truncation_is_refused(file: Path, content: bytes, cut: float) -> None:
    refused(file, content[: int(cut * len(content))])


@QUICK
@given(where=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_every_flipped_byte_is_refused(file: Path, content: bytes, where: float, flip: int) -> None:
    altered = bytearray(content)
    altered[int(where * len(content))] ^= flip
    refused(file, bytes(altered))


@QUICK
@given(more=st.binary(min_size=1, max_size=40))
def test_every_longer_file_is_refused(file: Path, content: bytes, more: bytes) -> None:
    refused(file, content + more)


def sealed(content: bytes, old: str, new: str) -> bytes:
    """Change the header as a forger would: its length and the hash fit again."""
    (length,) = struct.unpack("<Q", content[:8])
    header = content[8 : 8 + length].decode()
    assert old in header
    changed = header.replace(old, new, 1).rstrip().encode()
    bare = json.loads(changed)
    bare.get("__metadata__", {}).update(dict.fromkeys(PROVENANCE, ""))
    text = json.dumps(bare, ensure_ascii=True, separators=(",", ":"))
    changed = changed.ljust(-(-(len(text) + PROVENANCE_BYTES) // 8) * 8)
    body = struct.pack("<Q", len(changed)) + changed + content[8 + length : -32]
    return body + hashlib.sha256(body).digest()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('packed-2"', 'packed-1"', "its format is mlgsearch-packed-1, this version"),
        ('"classes":"10"', '"classes":"11"', "tensor 'codes' is"),
        ('"classes":"10"', '"classes":"99999999999"', "tensor 'codes' is"),
        ('"classes":"10"', '"classes":"0"', "classes"),
        ('"classes":"10"', '"classes":"1_0"', "classes is '1_0'"),
        ('"channels":"1"', '"channels":"one"', "metadata are not valid"),
        ('"image_size":"8x8"', '"image_size":"8x99999"', "image_size"),
        ('"settings":"0,0,3', '"settings":"0,0,4', "tensor 'codes' is"),
        (" 2,6,3,6,5", " 2,9,3,6,5", "tensor|not canonical"),
        ('"settings":"0,', '"settings":"-2,', "base_in"),
        ('"settings":"', '"settings":"0,0,8,0,0 ', "settings for the 10 layers"),
        ('"model":"resnet8"', '"model":"resnet9"', "unknown network 'resnet9'"),
        ('"model":"resnet8"', '"model":"os:system"', "which `build` must make"),
        ('"method":"dorefa"', '"method":"lsq"', "tensor 'numbers' is"),
        ('"method":"dorefa"', '"method":"none"', "method"),
        ('"norm_bits":"32"', '"norm_bits":"16"', "tensor 'halves' is None"),
        ('"norm_bits":"32"', '"norm_bits":"8"', "tensor 'codes' is"),
        ('"norm_bits":"32"', '"norm_bits":"4"', "norm_bits"),
        ('"in_bits":"32"', '"in_bits":"8"', "tensor 'numbers' is"),
        ('"in_bits":"32"', '"in_bits":"9"', "in_bits"),
        ('"study":', '"stud":', "metadata lack 'study'"),
        ('"study":', '"more":"","study":', "more is ''"),
        ('"trial":"41"', '"trial":"041"', "trial is '041'"),
        ('"mean":"', '"mean":"0.5 ', "mean is"),
        ('"F32"', '"I32"', "tensor 'numbers' is .*int32"),
        ('"numbers"', '"number"', "tensor 'number' is"),
        ('"study":"', '"study":"\\n', "no packed file"),
        ('"study":"', '"study":"\\ud800', "no packed file"),
        ('"__metadata__"', '"__metadota__"', "no packed file"),
    ],
)
def test_a_forged_header_is_refused(
    file: Path, content: bytes, old: str, new: str, message: str
) -> None:
    assert re.search(message, refused(file, sealed(content, old, new)))


def test_a_foreign_file_is_refused(file: Path, tmp_path: Path) -> None:
    save_file({"a": torch.zeros(3, 99)}, file, {"format": "pt"})
    assert "no packed file" in refused(file, file.read_bytes())
    assert "no packed file" in refused(file, b"")
    assert "no packed file" in refused(file, b"PK\3\4" + bytes(300))
    deep = b"[" * 100_000
    assert "no packed file" in refused(file, struct.pack("<Q", len(deep)) + deep + bytes(32))
    for missing, reason in ((tmp_path / "none", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(DataError, match=f"cannot be read: {reason}"):
            load_packed(missing)


def test_a_file_or_header_that_is_too_large_is_not_read(
    file: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed_file, "MOST_FILE_BYTES", len(content) - 1)
    assert "too many" in refused(file, content)
    monkeypatch.setattr(packed_file, "MOST_FILE_BYTES", len(content))
    monkeypatch.setattr(packed_file, "MOST_HEADER_BYTES", 100)
    assert "no packed file" in refused(file, content)


@torch.no_grad()
def test_a_network_of_ones_own_needs_its_callable(tmp_path: Path) -> None:
    student, card = a_student(model=ModelSpec(name="mine:network"))
    path = tmp_path / "own.safetensors"
    write_packed(path, student, card)

    def build(*, classes: int, channels: int, image_size: tuple[int, int]) -> nn.Module:
        assert image_size == (8, 8)
        return CifarResNet(1, width=4, classes=classes, channels=channels, head_bias=True)

    x = torch.randn(2, 1, 8, 8).contiguous(memory_format=torch.channels_last)
    assert torch.equal(load_packed(path, build=build)(x), student(x))
    with pytest.raises(DataError, match=r"own\.safetensors: it holds the network mine:network"):
        load_packed(path)
    with pytest.raises(DataError, match="settings for the 2 layers"):
        load_packed(path, build=lambda **_: nn.Sequential(nn.Linear(1, 2), nn.Linear(2, 2)))


def test_the_header_is_plain_json(content: bytes) -> None:
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    assert list(header) == ["__metadata__", "numbers", "codes", "sha256"]
    assert (8 + length) % 8 == 0
