"""What a source of images holds, before anything of it is decoded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mlgsearch.train.data.image_file import Content

#: The parts of a set by their number in `Listing.parts`.
PARTS = ("train", "validation", "test")
TRAIN, VALIDATION, TEST = range(3)


@dataclass(frozen=True, eq=False)
class Listing:
    """The images of a source, in its own order.

    ``names`` (N) name each image in messages, ``labels`` (N,) int64 are indices into
    ``class_names``, ``parts`` (N,) int64 index `PARTS` where the source has parts of its own.
    ``stamps`` (N) change with an image and its content (the path below the root, size and time of
    its file) and must be JSON. ``read`` returns the image at a position, encoded or not.
    ``notices`` are sentences for the user, ``unreadable`` names and reasons of images that are not
    among the N.
    """

    names: Sequence[str]
    labels: Tensor
    class_names: tuple[str, ...]
    parts: Tensor | None
    stamps: Sequence[object]
    read: Callable[[int], Content]
    notices: tuple[str, ...] = ()
    unreadable: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def only(self, kept: Tensor) -> Listing:
        """Return a listing of the images at the positions ``kept``."""
        places = kept.tolist()
        read = self.read
        return replace(
            self,
            names=[self.names[place] for place in places],
            labels=self.labels[kept],
            parts=None if self.parts is None else self.parts[kept],
            stamps=[self.stamps[place] for place in places],
            read=lambda position: read(places[position]),
        )

    def key(self, options: object) -> str:
        """Hash the listing and how it is to be decoded (JSON), for the name of a cached file."""
        content = [
            options,
            self.class_names,
            self.labels.tolist(),
            None if self.parts is None else self.parts.tolist(),
            list(self.stamps),
        ]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]

    def drawn_from(self) -> Tensor:
        """Return the positions that missing parts are drawn from: those of the training part."""
        if self.parts is None:
            return torch.arange(len(self))
        return (self.parts == TRAIN).nonzero().flatten()
