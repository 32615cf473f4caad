"""A set whose images are rows of arrays, brought to a listing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch

from mlgsearch.errors import DataError
from mlgsearch.train.data.sources.class_labels import index_labels
from mlgsearch.train.data.sources.listing import Listing

#: How many channels an image may have: grey, grey and alpha, RGB, RGB and alpha.
_CHANNELS = (1, 2, 3, 4)


class Rows(Protocol):
    """Images by their row: an array, or what reads them from a file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """As an array's."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int, /) -> np.ndarray: ...


class ArrayPart(NamedTuple):
    """Images and labels of one file: (N, H, W), (N, H, W, C) or (N, C, H, W), and (N,)."""

    path: Path
    images: Rows
    labels: np.ndarray


def list_arrays(
    parts: Mapping[int, Sequence[ArrayPart]],
    class_names: Sequence[str] | None,
    *,
    has_parts: bool,
) -> Listing:
    """List the rows of arrays, part by part.

    Raises:
        DataError: shapes do not fit, or the labels are none (see `index_labels`).
    """
    pieces = [(part, piece) for part in sorted(parts) for piece in parts[part]]
    for _, piece in pieces:
        _check(piece)
    labels = {
        part: np.concatenate([piece.labels for piece in parts[part]]) for part in sorted(parts)
    }
    names, indices = index_labels(f"data: {pieces[0][1].path}", labels, class_names)
    rows = [(piece, row) for _, piece in pieces for row in range(len(piece.images))]
    stamps = []
    for _, piece in pieces:
        status = piece.path.stat()
        stamps += [
            (piece.path.name, status.st_size, status.st_mtime_ns, row)
            for row in range(len(piece.images))
        ]

    def read(position: int) -> np.ndarray:
        piece, row = rows[position]
        image = np.asarray(piece.images[row])
        return image.transpose(1, 2, 0) if _channels_come_first(piece.images.shape) else image

    counts = torch.tensor([len(piece.images) for _, piece in pieces])
    numbers = torch.tensor([part for part, _ in pieces])
    return Listing(
        names=[f"{piece.path}: image {row}" for piece, row in rows],
        labels=indices,
        class_names=names,
        parts=numbers.repeat_interleave(counts) if has_parts else None,
        stamps=stamps,
        read=read,
    )


def _check(piece: ArrayPart) -> None:
    shape = piece.images.shape
    is_known = len(shape) == 3 or (
        len(shape) == 4 and (shape[3] in _CHANNELS or shape[1] in _CHANNELS)
    )
    if not is_known:
        raise DataError(
            f"data: {piece.path}: images of shape {shape} are not (N, H, W), (N, H, W, C) or "
            "(N, C, H, W)"
        )
    if len(piece.labels) != len(piece.images):
        raise DataError(
            f"data: {piece.path} has {len(piece.images)} images and {len(piece.labels)} labels"
        )


def _channels_come_first(shape: tuple[int, ...]) -> bool:
    return len(shape) == 4 and shape[3] not in _CHANNELS
