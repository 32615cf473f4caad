"""Entropy coding of integer codes: rANS with one fixed model of frequencies per factor.

Codes of trained factors are not evenly spread: those about zero are more frequent. Each factor's
frequencies are described in a few bytes, by integers alone, so that every machine decodes alike;
then all codes go into one stream.

Source: Duda 2013, "Asymmetric numeral systems" (arXiv 1311.2540), the range variant with a state of
31 bits that takes in whole bytes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlgsearch.errors import DataError
from mlgsearch.mlg.packing.bits import WIDTHS

#: Frequencies of a model add up to 2**12; the state is at least 2**23.
_PRECISION = 12
_TOTAL = 1 << _PRECISION
_LEAST = 1 << 23

#: What a factor's model is: no parameter; one byte, how narrow a bell is; a weight for each code;
#: how many codes there are (less 1), then each with its weight.
_EVEN, _BELL, _TABLE, _LISTED = 0, 1, 2, 3
#: Values of a bell's byte.
_BELLS = 192

_INVALID = "a coded factor's frequency table is invalid"

#: More codes per byte than this are refused, so that a small file cannot ask for much work.
MOST_CODES_PER_BYTE = 64

Frequencies = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Codes:
    """One factor's codes, from 0 to 2**bits - 1, (count,)."""

    values: Tensor
    bits: int


def encode(factors: Sequence[Codes]) -> bytes:
    """Return all factors' models, then their codes; `decode` reads it back exactly.

    Raises:
        DataError: the codes are so uniform that a reader would refuse the result.
    """
    heads, coded = [varint(len(factors))], []
    for factor in factors:
        values = factor.values.reshape(-1).numpy().astype(np.int64)
        symbols, width = _symbols(values, factor.bits)
        kind, parameters, frequencies = _best_model(symbols, width)
        head = factor.bits << 3 | kind
        count = [len(parameters) // 2 - 1] if kind == _LISTED else []
        heads.append(bytes([head]) + varint(len(values)) + bytes([*count, *parameters]))
        coded.append((symbols, frequencies))
    made = b"".join(heads) + _stream(coded)
    if sum(len(symbols) for symbols, _ in coded) > MOST_CODES_PER_BYTE * len(made):
        raise DataError("its codes are nearly all the same, which no coded file holds")
    return made


def decode(content: bytes) -> list[Codes]:
    """Read what `encode` wrote.

    Raises:
        DataError: it is something else.
    """
    reader = _Reader(content)
    models = []
    for _ in range(reader.varint()):
        head = reader.byte()
        bits, kind = head >> 3, head & 7
        if bits not in WIDTHS or kind > _LISTED:
            raise DataError("its coded factors are of no known kind")
        count = reader.varint()
        width = min(bits, 8)
        lengths = {_EVEN: 0, _BELL: 1, _TABLE: 1 << width, _LISTED: 1}
        parameters = reader.take(lengths[kind])
        if kind == _LISTED:
            parameters = reader.take(2 * parameters[0] + 2)
        models.append((bits, count, _frequencies(kind, parameters, width)))
    total = sum(count * (2 if bits > 8 else 1) for bits, count, _ in models)
    if total > MOST_CODES_PER_BYTE * len(content):
        raise DataError(f"{total} codes in {len(content)} bytes are too many")
    return list(_decoded(reader, models))


def _symbols(values: NDArray[np.int64], bits: int) -> tuple[NDArray[np.int64], int]:
    """Return codes as symbols of at most 8 bits: one of 16 bits is two, the lower first."""
    if bits <= 8:
        return values, bits
    return np.stack([values & 255, values >> 8], -1).reshape(-1), 8


def _best_model(symbols: NDArray[np.int64], width: int) -> tuple[int, Sequence[int], Frequencies]:
    """Return the model that takes fewest bytes: its kind, its parameters, its frequencies."""
    counts = np.bincount(symbols, minlength=1 << width)
    candidates: list[tuple[int, tuple[int, ...]]] = [(_EVEN, ())]
    candidates += [(_BELL, (at,)) for at in range(_BELLS)]
    if len(symbols):
        table = np.ceil(255 * counts / counts.max()).astype(np.int64)
        there = np.flatnonzero(counts)
        listed = np.stack([there, table[there]], -1).reshape(-1)
        candidates += [(_TABLE, tuple(table.tolist())), (_LISTED, tuple(listed.tolist()))]
    best, fewest = candidates[0], float("inf")
    seen = counts > 0
    for kind, parameters in candidates:
        frequencies = _candidate(kind, parameters, width)
        bits = 8 * len(parameters) - float(counts[seen] @ np.log2(frequencies[seen] / _TOTAL))
        if bits < fewest - 1e-6:
            best, fewest = (kind, parameters), bits
    return *best, _frequencies(*best, width)


def _candidate(kind: int, parameters: tuple[int, ...], width: int) -> Frequencies:
    return (
        _known(kind, parameters, width)
        if kind in (_EVEN, _BELL)
        else _frequencies(kind, parameters, width)
    )


@cache
def _known(kind: int, parameters: tuple[int, ...], width: int) -> Frequencies:
    """Return what `_frequencies` does, kept: there are few even models and bells."""
    found = _frequencies(kind, parameters, width)
    found.setflags(write=False)
    return found


def _frequencies(kind: int, parameters: Sequence[int], width: int) -> Frequencies:
    """Return the frequency of each symbol, (2**width,), of a sum of `_TOTAL`.

    It is at least 1, but of a list 0 for the symbols that are not on it.
    """
    size = 1 << width
    symbols = list(range(size))
    if kind == _EVEN:
        weights = [1] * size
    elif kind == _BELL:
        weights = _bell(parameters[0], size)
    elif kind == _TABLE:
        weights = list(parameters)
    else:
        symbols, weights = list(parameters[::2]), list(parameters[1::2])
    total = sum(weights)
    if not total or symbols != sorted({*symbols}) or symbols[-1] >= size:
        raise DataError(_INVALID)
    shares = [1 + weight * (_TOTAL - len(symbols)) // total for weight in weights]
    shares[weights.index(max(weights))] += _TOTAL - sum(shares)
    found = np.zeros(size, dtype=np.int64)
    found[symbols] = shares
    return found


def _bell(at: int, size: int) -> list[int]:
    """Return weights that fall from the middle like a normal distribution, by integers alone."""
    if at >= _BELLS:
        raise DataError(_INVALID)
    ratio = 65536 - ((16 + at % 16) << (at // 16))
    weights, step, weight = [], 65536, 1 << 24
    for _ in range(size // 2):
        weights.append(weight)
        step = step * ratio >> 16
        weight = weight * step >> 16
    return weights[::-1] + weights


def _stream(coded: Sequence[tuple[NDArray[np.int64], Frequencies]]) -> bytes:
    """Code the symbols of all factors, the last first; the state comes in front of the bytes."""
    state, out = _LEAST, bytearray()
    for symbols, frequencies in reversed(coded):
        starts = (np.cumsum(frequencies) - frequencies).tolist()
        listed = frequencies.tolist()
        for symbol in symbols[::-1].tolist():
            frequency = listed[symbol]
            limit = (_LEAST >> _PRECISION << 8) * frequency
            while state >= limit:
                out.append(state & 255)
                state >>= 8
            state = (state // frequency << _PRECISION) + state % frequency + starts[symbol]
    return state.to_bytes(4, "little") + bytes(out[::-1])


def _decoded(reader: "_Reader", models: Sequence[tuple[int, int, Frequencies]]) -> Iterator[Codes]:
    state, content, at = int.from_bytes(reader.take(4), "little"), reader.content, reader.at
    end = len(content)
    for bits, count, frequencies in models:
        starts = (np.cumsum(frequencies) - frequencies).tolist()
        listed = frequencies.tolist()
        symbol_of = np.repeat(np.arange(len(frequencies)), frequencies).tolist()
        symbols = []
        for _ in range(count * (2 if bits > 8 else 1)):
            slot = state & (_TOTAL - 1)
            symbol = symbol_of[slot]
            symbols.append(symbol)
            state = listed[symbol] * (state >> _PRECISION) + slot - starts[symbol]
            while state < _LEAST and at < end:
                state = state << 8 | content[at]
                at += 1
        values = torch.tensor(symbols, dtype=torch.int32)
        if bits > 8:
            low, high = values.reshape(-1, 2).unbind(1)
            values = low + 256 * high
        yield Codes(values, bits)
    if state != _LEAST or at != end:
        raise DataError("its coded factors do not end where their codes do")


class _Reader:
    """Goes through bytes once."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def take(self, count: int) -> bytes:
        part = self.content[self.at : self.at + count]
        if len(part) < count:
            raise DataError("its coded factors are cut off")
        self.at += count
        return part

    def byte(self) -> int:
        return self.take(1)[0]

    def varint(self) -> int:
        value, self.at = read_varint(self.content, self.at)
        return value


def read_varint(content: bytes, at: int) -> tuple[int, int]:
    """Return the number at a place, and the place behind it.

    Raises:
        DataError: there is none, or one of more than 35 bits.
    """
    value = 0
    for shift in range(0, 35, 7):
        if at >= len(content):
            raise DataError("a count is cut off")
        byte = content[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise DataError("a count is too large")


def varint(value: int) -> bytes:
    """Write a number seven bits at a time, the lowest first; all bytes but the last have bit 7."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
