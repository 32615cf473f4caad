"""A labelled set of images, in memory or in a mapped file."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import torch
from torch import Tensor

#: Samples in a block where a whole set at once would cost several times its own memory, and the
#: bytes of a block's floats, which make it smaller for large images.
_BLOCK = 4096
_BLOCK_BYTES = 16 * 2**20
#: The same for statistics, which hold several copies of a block, one of them in double precision.
_STATISTICS_BYTES = 2 * 2**20


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images and labels as their source gives them, before any split.

    ``pixels`` is uint8 of shape (N, C, H, W), ``labels`` int64 of shape (N,). ``parts`` (N,) are
    indices into `mlgsearch.train.listing.PARTS` where the source has parts of its own. ``copy_of``
    (N,) is the position of the first image of equal bytes, and ``names`` (N) name the images,
    where that is known. ``notices`` are sentences for the user.
    """

    pixels: Tensor
    labels: Tensor
    class_names: tuple[str, ...]
    parts: Tensor | None = None
    copy_of: Tensor | None = None
    names: Sequence[str] = ()
    notices: tuple[str, ...] = ()
    known_hash: str | None = None

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 over shape, pixels, labels and class names, or ``known_hash``."""
        if self.known_hash is not None:
            return self.known_hash
        digest = hashlib.sha256(
            json.dumps([list(self.pixels.shape), list(self.class_names)]).encode()
        )
        digest.update(self.pixels.contiguous().numpy().data)
        digest.update(self.labels.contiguous().numpy().data)
        return digest.hexdigest()


class Arrays(NamedTuple):
    """A source whose images are arrays already: all of them, or its train and its test part."""

    images: LabelledImages
    test: LabelledImages | None = None


@dataclass(frozen=True, eq=False)
class Images:
    """A set of images, split; what every training reads.

    ``train``, ``validation`` and ``test`` are int64 indices into ``pixels`` (N, C, H, W) uint8 and
    ``labels`` (N,) int64. ``mean`` and ``std`` have shape (C,), are of the training part, and are
    in units of the full range (pixel / 255). ``data_hash`` covers content and split. ``notices``
    are sentences on what its user should know of the set. ``judge`` is what is called accuracy.
    """

    pixels: Tensor
    labels: Tensor
    class_names: tuple[str, ...]
    train: Tensor
    validation: Tensor
    test: Tensor
    mean: Tensor
    std: Tensor
    data_hash: str
    notices: tuple[str, ...] = ()
    judge: Literal["accuracy", "balanced_accuracy"] = "accuracy"

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return len(self.class_names)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """The shape (C, H, W) of one image."""
        _, channels, height, width = self.pixels.shape
        return channels, height, width


def effective_samples(images: Images, index: Tensor) -> int:
    """Return how many samples the accuracy on a part is worth.

    A balanced accuracy varies with the draw of the samples as a plain accuracy over that many does
    (the harmonic mean of the classes' counts, times their number), where classes are alike hard.
    """
    if images.judge == "accuracy":
        return len(index)
    counts = torch.bincount(images.labels[index], minlength=images.classes).double()
    present = counts[counts > 0]
    return round(len(present) ** 2 / (1 / present).sum().item())


def blocks(index: Tensor, size: int = _BLOCK) -> Iterator[Tensor]:
    """Cut an index into runs of at most ``size``."""
    return (index[start : start + size] for start in range(0, len(index), size))


def rows_within(size: int, pixels: Tensor) -> int:
    """Return how many images (N, C, H, W) fit into ``size`` bytes at their own type; at least 1."""
    return max(1, size // (pixels[0].numel() * pixels.element_size()))


def batch_of(most: int, shape: tuple[int, ...], most_bytes: int = _BLOCK_BYTES) -> int:
    """Return how many float images (C, H, W) are looked at together: ``most``, or fewer large."""
    return max(1, min(most, most_bytes // (4 * math.prod(shape))))


def channel_statistics(pixels: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation per channel, each (C,) float32, in units of pixel / 255.

    A constant channel gets the deviation of one grey level, so that dividing by it is safe.
    """
    channels = pixels.shape[1]
    total = torch.zeros(channels, dtype=torch.float64)
    squares = torch.zeros(channels, dtype=torch.float64)
    for part in blocks(index, batch_of(_BLOCK, tuple(pixels.shape[1:]), _STATISTICS_BYTES)):
        values = pixels[part].to(torch.float32).transpose(0, 1).flatten(1)  # (C, n*H*W)
        total += values.sum(1, dtype=torch.float64)
        squares += values.square_().sum(1, dtype=torch.float64)
    count = len(index) * pixels[0, 0].numel()
    mean = total / count
    std = (squares / count - mean.square()).clamp_min(1.0).sqrt()
    return (mean / 255).float(), (std / 255).float()
