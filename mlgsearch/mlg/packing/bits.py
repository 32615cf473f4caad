"""Small integers packed into bytes without a gap: 1 to 8 bits each, or 16."""

import torch
from torch import Tensor

#: Widths that can be packed.
WIDTHS = (1, 2, 3, 4, 5, 6, 7, 8, 16)


def packed_length(count: int, bits: int) -> int:
    """Return the bytes that ``count`` codes of ``bits`` take: the last byte is filled up."""
    return (count * bits + 7) // 8


def pack(codes: Tensor, bits: int) -> Tensor:
    """Pack codes in [0, 2**bits - 1] of any shape, in row-major order.

    The stream is little-endian: code i takes the bits from i*bits on, the lowest first; what is
    left of the last byte is zero.

    Returns:
        uint8 of shape (packed_length(codes.numel(), bits),).

    Raises:
        ValueError: the width is not one of ``WIDTHS``, or a code is out of range.
    """
    _require_width(bits)
    flat = codes.reshape(-1).to(torch.int64)
    if flat.numel() and not 0 <= int(flat.min()) <= int(flat.max()) < 2**bits:
        raise ValueError(f"codes of {bits} bits lie in 0..{2**bits - 1}, got {_span(flat)}")
    # A word is 8 codes in `bits` bytes, or at 16 bits one code in two.
    per_word, word_bytes = _word(bits)
    words = torch.zeros(-(-flat.numel() // per_word) * per_word, dtype=torch.int64)
    words[: flat.numel()] = flat
    shifts = torch.arange(per_word) * bits
    # Sums of disjoint bits; the 64th is the sign, which shifts carry along harmlessly.
    joined = (words.reshape(-1, per_word) << shifts).sum(1)  # (words,)
    stream = (joined[:, None] >> (8 * torch.arange(word_bytes))) & 255  # (words, word_bytes)
    return stream.to(torch.uint8).reshape(-1)[: packed_length(flat.numel(), bits)].clone()


def unpack(stream: Tensor, bits: int, count: int) -> Tensor:
    """Read ``count`` codes back from what ``pack`` gave.

    Returns:
        int32 of shape (count,).

    Raises:
        ValueError: the width is not one of ``WIDTHS``, or the stream has another length.
    """
    _require_width(bits)
    length = packed_length(count, bits)
    if stream.dtype != torch.uint8 or tuple(stream.shape) != (length,):
        raise ValueError(
            f"{count} codes of {bits} bits are uint8 of shape ({length},), "
            f"got {stream.dtype} of shape {tuple(stream.shape)}"
        )
    per_word, word_bytes = _word(bits)
    filled = torch.zeros(-(-length // word_bytes) * word_bytes, dtype=torch.int64)
    filled[:length] = stream
    joined = (filled.reshape(-1, word_bytes) << (8 * torch.arange(word_bytes))).sum(1)  # (words,)
    codes: Tensor = (joined[:, None] >> (bits * torch.arange(per_word))) & (2**bits - 1)
    return codes.to(torch.int32).reshape(-1)[:count].clone()


def _word(bits: int) -> tuple[int, int]:
    """Return how many codes, and how many bytes, make a word of at most 64 bits."""
    return (1, 2) if bits == 16 else (8, bits)


def _require_width(bits: int) -> None:
    if bits not in WIDTHS:
        raise ValueError(f"bit width is {bits!r}, expected one of {WIDTHS}")


def _span(codes: Tensor) -> str:
    return f"{int(codes.min())}..{int(codes.max())}"
