"""The coded packed file: the same student in fewer bytes. docs/packed.md describes it."""

import hashlib
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from mlgsearch.errors import DataError, UserError
from mlgsearch.mlg.packing.bits import pack, packed_length, unpack
from mlgsearch.mlg.packing.coding import Codes, decode, encode, read_varint, varint
from mlgsearch.mlg.packing.packed import pack_network, settings_of
from mlgsearch.mlg.packing.packed_slot import packed_slots
from mlgsearch.train.files.packed_card import FORMAT, METADATA, PackedCard
from mlgsearch.train.tensor_file import write_atomically

#: What the file begins with; no safetensors file can, for its header would have a gigabyte.
MAGIC = b"MLG3"

#: What most metadata say, which deflate need not write then (RFC 1950, a preset dictionary).
DICTIONARY = (
    b"torch 2. torchvision 0. accuracy folder mobilenet_v2 densenet121 resnet20 resnet18 imagenet "
    b"yes\n10\n3\n32x32\nlsq\ndorefa\nmlgsearch-packed-2\nresnet8\ncifar\n8\nyes\n10\n1\n8x8\n"
    b"lsq_symmetric\n0,0,2,0,0 2,3,2,2,2 1,2,3,0,0 0,0,8,0,0\n32\n32\n16\n"
    b"digits\nmlgsearch 0.1.0 torch 2.14.1 torchvision 0.29.1"
)

_HASH_BYTES = 32
#: Bytes of the metadata's text that are read at most.
_MOST_TEXT = 2**20
#: Streams of numbers, in order, with the bytes of one: each byte of it is coded like a factor.
_PLAIN = {"numbers": (torch.float32, 4), "halves": (torch.float16, 2)}


def write_coded(path: Path, network: nn.Module, card: PackedCard) -> int:
    """Write a student's coded file atomically, and return its size in bytes.

    Raises:
        DataError: the network holds a number that is not finite.
        UserError: it keeps tensors of other types, which only the packed file holds.
        OSError: it cannot be written.
    """
    tensors = pack_network(network, card.method, card.norm_bits)
    others = [name for name in tensors if name not in ("codes", *_PLAIN)]
    if others:
        raise UserError(f"the network keeps {others[0]!r}, which a coded file cannot hold")
    slots = packed_slots(network, settings_of(network), card.method, card.norm_bits, card.in_bits)
    factors, at = [], 0
    for slot in slots:
        if slot.stream == "codes":
            length = packed_length(slot.numel, slot.bits)
            values = unpack(tensors["codes"][at : at + length], slot.bits, slot.numel)
            factors.append(Codes(values, slot.bits))
            at += length
    return write_atomically(path, coded_bytes(card, tensors, factors))


def coded_bytes(card: PackedCard, tensors: Mapping[str, Tensor], factors: Sequence[Codes]) -> bytes:
    """Return the coded file of a packed file's tensors, whose codes are given factor by factor."""
    deflate = zlib.compressobj(9, wbits=-15, zdict=DICTIONARY)
    text = deflate.compress("\n".join(card.to_metadata().values()).encode()) + deflate.flush()
    planes, counts = [], b""
    for name, (_, size) in _PLAIN.items():
        stream = tensors.get(name, torch.zeros(0))
        counts += varint(stream.numel())
        if stream.numel():
            of_bytes = stream.contiguous().view(torch.uint8).reshape(-1, size)
            planes += [Codes(plane.to(torch.int32), 8) for plane in of_bytes.unbind(1)]
    parts = [MAGIC, struct.pack("<H", len(text)), text, counts, encode([*planes, *factors])]
    content = b"".join(parts)
    return content + hashlib.sha256(content).digest()


def is_coded(content: bytes) -> bool:
    """Return whether a file's content is that of a coded file."""
    return content.startswith(MAGIC)


def read_coded_card(beginning: bytes) -> PackedCard:
    """Return the card of a coded file, of whose content only the beginning may be given.

    Raises:
        DataError: it is no coded file, or lacks a part of its metadata.
    """
    if not is_coded(beginning) or len(beginning) < len(MAGIC) + 2:
        raise DataError("no coded file")
    (length,) = struct.unpack_from("<H", beginning, len(MAGIC))
    return _card(beginning[len(MAGIC) + 2 :][:length])


def read_coded(content: bytes) -> tuple[PackedCard, dict[str, Tensor]]:
    """Return the card and the tensors of the packed file of the same student.

    Raises:
        DataError: the content is truncated, altered, or no coded file.
    """
    whole, stored = content[:-_HASH_BYTES], content[-_HASH_BYTES:]
    if len(whole) < len(MAGIC) + 2 or hashlib.sha256(whole).digest() != stored:
        raise DataError("truncated or altered: its SHA-256 is another")
    card = read_coded_card(whole)
    (length,) = struct.unpack_from("<H", whole, len(MAGIC))
    at = len(MAGIC) + 2 + length
    counts = {}
    for name in _PLAIN:
        counts[name], at = read_varint(whole, at)
    found = decode(whole[at:])
    tensors: dict[str, Tensor] = {"numbers": torch.zeros(0)}
    for name, (dtype, size) in _PLAIN.items():
        if not counts[name]:
            continue
        planes, found = found[:size], found[size:]
        if [(plane.bits, len(plane.values)) for plane in planes] != [(8, counts[name])] * size:
            raise DataError("its numbers are cut off")
        of_bytes = torch.stack([plane.values for plane in planes], 1).to(torch.uint8)
        tensors[name] = of_bytes.view(dtype).reshape(-1)
    streams = [pack(factor.values, factor.bits) for factor in found]
    tensors["codes"] = torch.cat([torch.zeros(0, dtype=torch.uint8), *streams])
    return card, tensors


def _card(deflated: bytes) -> PackedCard:
    reader = zlib.decompressobj(wbits=-15, zdict=DICTIONARY)
    try:
        text = reader.decompress(deflated, _MOST_TEXT).decode()
    except (zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"its metadata cannot be read: {error}") from error
    values = text.split("\n")
    if not reader.eof or reader.unused_data or len(values) != len(METADATA):
        raise DataError("its metadata are not those of this version")
    texts = dict(zip(METADATA, values, strict=True))
    if texts["format"] != FORMAT or not all(value.isprintable() for value in values):
        raise DataError(f"its format is {texts['format']!r}, this version reads {FORMAT}")
    return PackedCard.from_metadata(texts)
