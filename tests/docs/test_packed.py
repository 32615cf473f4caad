"""The page of the packed file is enough to read one: its reader, its example, its tables."""

import json
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mlgsearch.mlg.kinds import compressible_layers
from mlgsearch.mlg.packing.bits import packed_length, unpack
from mlgsearch.mlg.packing.packed_slot import packed_slots
from mlgsearch.mlg.quantise import make_quantiser
from mlgsearch.train.files.coded_file import write_coded
from mlgsearch.train.files.packed_file import load_packed, read_packed, write_packed
from mlgsearch.train.files.student_file import at_norm_bits
from mlgsearch.train.networks.models import build_model
from tests.train.files.test_packed_file import a_student

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "packed.md").read_text()
EXAMPLE = DOCS / "packed-example.safetensors"
SHOWN = 4


def reader() -> Any:
    """Return the page's function ``logits``, which knows nothing of this package."""
    scope: dict[str, Any] = {}
    for beginning in ("import json", "import zlib"):
        (source,) = re.findall(rf"```python\n({beginning}.*?)```", PAGE, re.DOTALL)
        exec(compile(source, "docs/packed.md", "exec"), scope)
        assert not re.search(r"(import|from) mlgsearch", source)
    return scope["logits"]


def rows_under(heading: str) -> list[str]:
    found = re.search(rf"{re.escape(heading)}\n\|[-|]*\n(.*?)\n\n", PAGE, re.DOTALL)
    assert found is not None, heading
    return found[1].splitlines()


def ramp() -> torch.Tensor:
    return (torch.arange(64) * 4).reshape(1, 1, 8, 8)


@torch.no_grad()
def expected_logits(path: Path, pixels: torch.Tensor) -> np.ndarray[Any, Any]:
    network = load_packed(path)
    card, _ = read_packed(path)
    x = (pixels / 255 - torch.tensor(card.mean)[:, None, None]) / torch.tensor(card.std)[
        :, None, None
    ]
    made: np.ndarray[Any, Any] = network(x).numpy()
    return made


def header_rows() -> list[str]:
    content = EXAMPLE.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    rows = [f"| `{key}` | `{text}` |" for key, text in header.pop("__metadata__").items()]
    return rows + [
        f"| {name} | {entry['dtype']} {entry['shape']}, bytes {entry['data_offsets']} |"
        for name, entry in header.items()
    ]


def factor_rows() -> list[str]:
    card, tensors = read_packed(EXAMPLE)
    network = build_model(card.model, classes=10, channels=1, image_size=(8, 8))
    settings = dict(zip(compressible_layers(network), card.settings, strict=True))
    slots = packed_slots(network, settings, card.method, card.norm_bits, card.in_bits)
    rows, codes, numbers = [], tensors["codes"], tensors["numbers"]
    for slot, after in zip(slots, [*slots[1:], None], strict=True):
        shape = "x".join(map(str, slot.shape))
        if slot.stream == "codes":
            assert after is not None
            taken = packed_length(slot.numel, slot.bits)
            found, codes = unpack(codes[:taken], slot.bits, slot.numel), codes[taken:]
            scales = numbers[: after.numel]
            values = make_quantiser(card.method, slot.bits).decode(found, scales)
            shown = ", ".join(map(str, found[:SHOWN].tolist()))
            rows.append(
                f"| `{slot.module}` | {slot.item} | {shape} | {slot.bits} | {shown} | "
                f"{_numbers(scales)} | {_numbers(values[:SHOWN])} |"
            )
        elif slot.item in ("basis", "coeff_in", "coeff_out", "weight"):
            values = numbers[:SHOWN]
            first = f"| `{slot.module}` | {slot.item} | {shape} | 32 | none | none |"
            rows.append(f"{first} {_numbers(values)} |")
        if slot.stream == "numbers":
            numbers = numbers[slot.numel :]
    assert len(codes) == len(numbers) == 0
    return rows


def _numbers(values: torch.Tensor) -> str:
    return ", ".join(f"{value:.6g}" for value in values.flatten().tolist())


def test_the_header_of_the_example_is_on_the_page() -> None:
    assert rows_under("| key | value |") == header_rows()


def test_the_first_values_of_each_factor_are_on_the_page() -> None:
    heading = "| layer | factor | shape | bits | codes | scales | values |"
    assert rows_under(heading) == factor_rows()


def test_the_logits_of_the_example_are_on_the_page() -> None:
    found = re.search(r"row by row: (.*)\.\n", PAGE)
    assert found is not None
    written = np.array([float(text) for text in found[1].split(", ")])
    assert np.abs(written - expected_logits(EXAMPLE, ramp())[0]).max() < 1e-5


def test_the_pages_reader_reads_the_example() -> None:
    made = reader()(EXAMPLE, ramp().numpy().astype(np.uint8))
    assert np.abs(made - expected_logits(EXAMPLE, ramp())).max() < 1e-4


@pytest.mark.parametrize(
    ("method", "norm_bits"),
    [("dorefa", 32), ("lsq", 32), ("lsq_symmetric", 32), ("lsq_symmetric", 16), ("lsq", 8)],
)
def test_the_pages_reader_reads_any_student(tmp_path: Path, method: str, norm_bits: int) -> None:
    torch.manual_seed(0)
    student, card = a_student(method=method, norm_bits=max(norm_bits, 16))
    if norm_bits == 8:
        card = at_norm_bits(card, "packed", 8)
    path = tmp_path / "a.safetensors"
    write_packed(path, student, card)
    pixels = torch.randint(0, 256, (5, 1, 8, 8))
    expected = expected_logits(path, pixels)
    made = reader()(path, pixels.numpy().astype(np.uint8))
    assert np.abs(made - expected).max() < 1e-4
    write_coded(tmp_path / "a.mlg", student, card)
    again = reader()(tmp_path / "a.mlg", pixels.numpy().astype(np.uint8))
    np.testing.assert_array_equal(again, made)


def test_the_pages_decoder_reads_every_stream(tmp_path: Path) -> None:
    torch.manual_seed(0)
    student, card = a_student(norm_bits=16)
    write_coded(tmp_path / "a.mlg", student, card)
    meta, streams = reader().__globals__["decoded"]((tmp_path / "a.mlg").read_bytes())
    assert meta == card.to_metadata()
    _, tensors = read_packed(tmp_path / "a.mlg")
    assert set(streams) == set(tensors) == {"numbers", "halves", "codes"}
    for name, stream in streams.items():
        np.testing.assert_array_equal(stream, tensors[name].numpy())
