"""The packed file: a student at its true size. docs/packed.md describes it byte by byte."""

import hashlib
import json
import struct
from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from mlgsearch.errors import DataError, UserError
from mlgsearch.mlg.folding import fold
from mlgsearch.mlg.kinds import compressible_layers
from mlgsearch.mlg.packing.packed import pack_network, unpack_network
from mlgsearch.mlg.packing.packed_slot import Slot, packed_slots, require_streams, stream_shapes
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.train.device import memory_format
from mlgsearch.train.files.coded_file import is_coded, read_coded
from mlgsearch.train.files.packed_card import FORMAT, FORMATS, PROVENANCE, PackedCard
from mlgsearch.train.networks.models import build_model, build_without_memory, fitted
from mlgsearch.train.own_code import names_code
from mlgsearch.train.tensor_file import write_atomically

#: Bytes of the header that are kept for the provenance, so that a file's size is known beforehand.
PROVENANCE_BYTES = 288
#: A header or a file that is larger is not read.
MOST_HEADER_BYTES = 2**20
MOST_FILE_BYTES = 2**31

_HASH_BYTES = 32
_TYPES = {
    torch.float32: "F32",
    torch.uint8: "U8",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.bool: "BOOL",
    torch.float64: "F64",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
}


def to_bytes(network: nn.Module, card: PackedCard) -> bytes:
    """Return the packed file of a student that was compressed with ``card.method``.

    Raises:
        DataError: the network holds a number that is not finite, or of a type no file can hold.
    """
    return packed_bytes(card, pack_network(network, card.method, card.norm_bits))


def write_packed(path: Path, network: nn.Module, card: PackedCard) -> int:
    """Write a student's packed file atomically, and give its size in bytes.

    Raises:
        DataError: as ``to_bytes``.
        OSError: it cannot be written.
    """
    return write_atomically(path, to_bytes(network, card))


def packed_size(network: nn.Module, card: PackedCard) -> int:
    """Return the size in bytes that the packed file will have, before any training.

    The network may be on ``meta``. The size is exact where the provenance (accuracy, study, trial,
    teacher, versions) takes at most ``PROVENANCE_BYTES`` as JSON, whatever the numbers are.

    Raises:
        SettingError: the settings do not fit the network.
        DataError: the network holds a type no file can hold.
    """
    shapes = stream_shapes(_slots(network, card))
    return len(_header(card, shapes)) + _data_bytes(shapes)


def read_packed(path: Path) -> tuple[PackedCard, dict[str, Tensor]]:
    """Read and check a packed file, without making a network of it. Nothing is unpickled.

    A coded file (see ``coded_file``) is decoded: what is returned is the packed file's.

    Raises:
        DataError: it cannot be read, is truncated or altered, is no packed file, is of another
            version, or is larger than ``MOST_FILE_BYTES``.
    """
    try:
        size = path.stat().st_size
        if size > MOST_FILE_BYTES:
            raise DataError(f"{path}: {size} bytes are too many for a packed file")
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    if is_coded(content):
        try:
            return read_coded(content)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
    texts = _metadata(path, content)
    if texts["format"] != FORMAT:
        raise DataError(
            f"{path}: its format is {texts['format']}, this version of mlgsearch reads {FORMAT}"
        )
    if hashlib.sha256(content[:-_HASH_BYTES]).digest() != content[-_HASH_BYTES:]:
        raise DataError(f"{path}: truncated or altered: its SHA-256 is another")
    try:
        card = PackedCard.from_metadata(texts)
        tensors = load(content)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except (SafetensorError, KeyError) as error:
        raise DataError(f"{path}: its tensors cannot be read: {error}") from error
    tensors.pop("sha256", None)
    if packed_bytes(card, tensors) != content:
        raise DataError(f"{path}: it is not laid out as a packed file is")
    return card, tensors


def load_packed(path: str | Path, *, build: Callable[..., object] | None = None) -> nn.Module:
    """Return the network of a packed file: on the CPU, in eval mode, its weights frozen.

    On the machine that trained it, with as many threads, its logits are the student's bit for bit.
    ``network.packed`` is the file's `PackedCard`: among others ``packed.mean`` and ``packed.std``,
    with which the network takes ``(pixel / 255 - mean) / std``. Nothing is unpickled, and no code
    is imported by a name that the file says.

    Args:
        path: the file.
        build: for a study whose ``model.name`` was ``module:callable``, that callable; it is called
            with ``classes``, ``channels`` and ``image_size``.

    Raises:
        DataError: the file cannot be read, or is truncated, altered, foreign or of another
            version, or holds a network of one's own and ``build`` is missing or makes another.
    """
    path = Path(path)
    return build_packed(path, *read_packed(path), build=build)


def build_packed(
    path: Path,
    card: PackedCard,
    tensors: Mapping[str, Tensor],
    *,
    build: Callable[..., object] | None = None,
) -> nn.Module:
    """Return the network of what a packed file holds; arguments and errors as ``load_packed``."""
    if (build is None) == (names_code(card.model.name)):
        raise DataError(
            f"{path}: it holds the network {card.model.name}"
            + (", which `build` must make" if build is None else ": leave `build` out")
        )
    try:
        if build is None:
            # Sizes are settled without memory, so that a file cannot ask for more than it brings.
            planned = build_without_memory(card.model, **_sides(card), allocates_at_need=False)
            wanted = f"but {card.model.name} at its settings has"
            require_streams(_slots(planned, card), tensors, wanted)
        network = _built(card, build)
        settings = _named(card, network)
        unpack_network(network, settings, card.method, tensors, card.norm_bits, card.in_bits)
    except UserError as error:
        raise DataError(f"{path}: {error}") from error
    network.packed = card  # type: ignore[assignment]
    return network.to(memory_format=memory_format(card.input_shape))


def _built(card: PackedCard, build: Callable[..., object] | None) -> nn.Module:
    if build is None:
        return build_model(card.model, **_sides(card), is_checked=True)
    made = build(**_sides(card))
    if not isinstance(made, nn.Module):
        raise DataError(f"`build` must give a torch.nn.Module, it gave {type(made).__name__}")
    network = fitted(made)
    fold(network)
    return network


def _sides(card: PackedCard) -> dict[str, Any]:
    return {"classes": card.classes, "channels": card.channels, "image_size": card.image_size}


def _slots(network: nn.Module, card: PackedCard) -> list[Slot]:
    return packed_slots(network, _named(card, network), card.method, card.norm_bits, card.in_bits)


def _named(card: PackedCard, network: nn.Module) -> dict[str, LayerSetting]:
    layers = list(compressible_layers(network))
    if len(layers) != len(card.settings):
        raise DataError(
            f"{len(card.settings)} settings for the {len(layers)} layers of {card.model.name}"
        )
    return dict(zip(layers, card.settings, strict=True))


def packed_bytes(card: PackedCard, tensors: Mapping[str, Tensor]) -> bytes:
    """Lay out a packed file; the same card and tensors give the same bytes.

    The tensors are ``pack_network``'s, or those that another file of the same student holds.
    """
    shapes = {name: (tuple(t.shape), t.dtype) for name, t in tensors.items()}
    parts = [_header(card, shapes)]
    parts += [
        tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        for name in _order(shapes)
    ]
    content = b"".join(parts)
    return content + hashlib.sha256(content).digest()


def _order(shapes: Mapping[str, tuple[tuple[int, ...], torch.dtype]]) -> list[str]:
    """Return the tensors as they lie in the file: wider types first, so that all are aligned."""
    return sorted(shapes, key=lambda name: (-shapes[name][1].itemsize, name))


def _data_bytes(shapes: Mapping[str, tuple[tuple[int, ...], torch.dtype]]) -> int:
    return sum(prod(shape) * dtype.itemsize for shape, dtype in shapes.values()) + _HASH_BYTES


def _header(card: PackedCard, shapes: Mapping[str, tuple[tuple[int, ...], torch.dtype]]) -> bytes:
    """Return the length and the header, whose size does not depend on the provenance."""
    metadata = card.to_metadata()
    header: dict[str, object] = {"__metadata__": metadata}
    at = 0
    for name in _order(shapes):
        shape, dtype = shapes[name]
        if dtype not in _TYPES:
            raise DataError(f"{name} is of type {dtype}, which a packed file cannot hold")
        end = at + prod(shape) * dtype.itemsize
        header[name] = {"dtype": _TYPES[dtype], "shape": shape, "data_offsets": [at, end]}
        at = end
    ends = [at, at + _HASH_BYTES]
    header["sha256"] = {"dtype": "U8", "shape": [_HASH_BYTES], "data_offsets": ends}
    text = _json(header)
    bare = _json(header | {"__metadata__": metadata | dict.fromkeys(PROVENANCE, "")})
    length = max(len(text), len(bare) + PROVENANCE_BYTES)
    length += -length % 8
    return struct.pack("<Q", length) + text.ljust(length)


def _json(content: object) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _metadata(path: Path, content: bytes) -> dict[str, str]:
    """Return the metadata of the header, which is not trusted yet."""
    foreign = DataError(f"{path}: truncated, or no packed file of mlgsearch")
    if len(content) < 8 + _HASH_BYTES:
        raise foreign
    (length,) = struct.unpack("<Q", content[:8])
    if length > min(MOST_HEADER_BYTES, len(content) - 8 - _HASH_BYTES):
        raise foreign
    try:
        header = json.loads(content[8 : 8 + length])
    except (ValueError, RecursionError):
        raise foreign from None
    texts = header.get("__metadata__") if isinstance(header, dict) else None
    if not isinstance(texts, dict) or not all(map(_is_text, texts.values())):
        raise foreign
    if not FORMATS.fullmatch(texts.get("format", "")):
        raise foreign
    return texts


def _is_text(value: object) -> bool:
    """Return whether a value is text that UTF-8 can hold; JSON knows halves of characters."""
    return isinstance(value, str) and value.isprintable()
