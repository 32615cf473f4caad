"""A study's data by name, in memory and split."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from mlgsearch.errors import DataError
from mlgsearch.train.data.copies import describe_copies
from mlgsearch.train.data.decode import decode
from mlgsearch.train.data.image_file import Look
from mlgsearch.train.data.images import (
    Arrays,
    Images,
    LabelledImages,
    blocks,
    channel_statistics,
)
from mlgsearch.train.data.randomness import Purpose, permutation
from mlgsearch.train.data.sources.listing import PARTS, TEST, TRAIN, VALIDATION, Listing
from mlgsearch.train.data.split import stratified_split
from mlgsearch.train.progress import Progress, no_progress
from mlgsearch.train.spec import DataSpec
from mlgsearch.train.tensor_file import DamagedFileError, read_tensors, write_tensors
from mlgsearch.writable_place import check_cache

#: How many times the images of the smallest class the largest has where that is reported.
_UNEVEN = 3


def load_images(
    spec: DataSpec,
    cache: Path,
    progress: Progress = no_progress,
    *,
    verifies: bool = True,
    before_decoding: Callable[[int, tuple[int, int, int]], object] | None = None,
) -> Images:
    """Load and split the data a study names; equal specs on equal files give equal tensors.

    ``cache`` is the directory for decoded images, of sets that come as files. ``limit`` holds for
    the images that parts are drawn from: the training part of a set that has parts of its own, and
    all images otherwise. Without ``verifies`` cached pixels are not compared with their checksum.
    ``before_decoding`` is called with the number of classes and an image's shape (C, H, W) where
    images have to be decoded, before they are.

    Raises:
        DataError: the data are missing, damaged, or too few to split; or a set's own parts for
            training and test share images, and that is not accepted; or a cutout covers images.
    """
    found: Listing | Arrays = spec.kind.read(spec)
    if isinstance(found, Listing):
        if (kept := _limited(spec, found.drawn_from(), len(found))) is not None:
            found = found.only(kept)
        images = decode(
            found,
            look_of(spec),
            cache,
            skips_unreadable=spec.unreadable == "skip",
            verifies=verifies,
            progress=progress,
            before=before_decoding,
        )
        hashes = [images.content_hash]
    else:
        images, hashes = _joined(spec, found)
    side = min(images.pixels.shape[2:])
    if spec.cutout >= side:
        raise DataError(
            f"data.cutout: a square of {spec.cutout} pixels would cover whole images, which are "
            f"{side} pixels at their shorter side; write a number below that"
        )
    parts = _split(spec, images)
    train, validation, test = parts
    notices = [
        *images.notices,
        *_look_for_copies(spec, images, parts),
        *_look_for_imbalance(spec, images),
    ]
    data_hash = _data_hash(hashes, parts)
    mean, std = _statistics(images, train, data_hash, cache)
    return Images(
        pixels=images.pixels,
        labels=images.labels,
        class_names=images.class_names,
        train=train,
        validation=validation,
        test=test,
        mean=mean,
        std=std,
        data_hash=data_hash,
        notices=tuple(notices),
        judge=spec.judge,
    )


def _statistics(
    images: LabelledImages, train: Tensor, data_hash: str, cache: Path
) -> tuple[Tensor, Tensor]:
    """Return `channel_statistics`, which are cached for decoded sets: they read every pixel."""
    if images.known_hash is None:
        return channel_statistics(images.pixels, train)
    path = cache / "data" / f"statistics-{data_hash}.safetensors"
    try:
        tensors, _ = read_tensors(path)
    except (FileNotFoundError, DamagedFileError):
        check_cache(path.parent)
        mean, std = channel_statistics(images.pixels, train)
        write_tensors(path, {"mean": mean, "std": std}, {})
        return mean, std
    return tensors["mean"], tensors["std"]


def look_of(spec: DataSpec) -> Look:
    """Return how a specification wants image files decoded."""
    return Look(spec.image_size, spec.channels or 3, spec.background)


def _limited(spec: DataSpec, drawn_from: Tensor, count: int) -> Tensor | None:
    """Return the positions that ``limit`` leaves of ``count``, sorted; None for all."""
    if spec.limit is None or spec.limit >= len(drawn_from):
        return None
    order = permutation(Purpose.SPLIT, spec.split_seed, 1, len(drawn_from))
    is_kept = torch.ones(count, dtype=torch.bool)
    is_kept[drawn_from[order[spec.limit :]]] = False
    return is_kept.nonzero().flatten()


def _joined(spec: DataSpec, found: Arrays) -> tuple[LabelledImages, list[str]]:
    """Return a set that comes as arrays, and the hashes of what it was put together from."""
    whole, own_test = found
    whole = with_channels(_resized(whole, spec.image_size), spec.channels)
    count = len(whole.labels)
    if (kept := _limited(spec, torch.arange(count), count)) is not None:
        whole = LabelledImages(whole.pixels[kept], whole.labels[kept], whole.class_names)
    if own_test is None:
        return whole, [whole.content_hash]
    own_test = with_channels(_resized(own_test, spec.image_size), spec.channels)
    counts = torch.tensor([len(whole.labels), len(own_test.labels)])
    together = LabelledImages(
        torch.cat([whole.pixels, own_test.pixels]),
        torch.cat([whole.labels, own_test.labels]),
        whole.class_names,
        parts=torch.tensor([TRAIN, TEST]).repeat_interleave(counts),
    )
    return together, [whole.content_hash, own_test.content_hash]


def _split(spec: DataSpec, images: LabelledImages) -> list[Tensor]:
    """Return the positions for training, validation and test: given, or drawn from the others."""
    given = images.parts
    if given is None:
        given = torch.full_like(images.labels, TRAIN)
    parts = {part: (given == part).nonzero().flatten() for part in range(len(PARTS))}
    share = spec.validation_share
    fractions = {
        VALIDATION: spec.validation_fraction if share is None else share,
        TEST: spec.test_fraction,
    }
    drawn = [part for part in fractions if len(parts[part]) == 0]
    pool = parts[TRAIN]
    found = stratified_split(
        images.labels[pool],
        images.class_names,
        tuple(fractions[part] for part in drawn),
        spec.split_seed,
    )
    for part, positions in zip([TRAIN, *drawn], found, strict=True):
        parts[part] = pool[positions]
    return [parts[part] for part in range(len(PARTS))]


def _look_for_copies(spec: DataSpec, images: LabelledImages, parts: list[Tensor]) -> list[str]:
    """Return what the user should know of copies.

    Raises:
        DataError: the parts were given, an image is in those for training and test, and that is
            not accepted.
    """
    if images.copy_of is None:
        return []
    said, leak = describe_copies(
        images.copy_of, images.labels, parts, lambda position: images.names[position]
    )
    if leak is None:
        return said
    has_own_test = images.parts is not None and bool((images.parts == TEST).any())
    if has_own_test and spec.shared_images == "refuse":
        raise DataError(
            f"data: {leak}; take them out of one part, or write data.shared_images: accept"
        )
    return [*said, f"{leak}: what `verify` reads is overrated"]


def _look_for_imbalance(spec: DataSpec, images: LabelledImages) -> list[str]:
    counts = torch.bincount(images.labels, minlength=len(images.class_names))
    most, least = int(counts.argmax()), int(counts.argmin())
    if counts[most] < _UNEVEN * counts[least]:
        return []
    said = (
        f"classes are uneven: {images.class_names[most]!r} has {int(counts[most])} images, "
        f"{images.class_names[least]!r} has {int(counts[least])}"
    )
    if spec.judge == "accuracy":
        said += "; data.judge: balanced_accuracy counts every class alike"
    return [said]


def _resized(images: LabelledImages, size: int | None) -> LabelledImages:
    """Bring square images to ``size`` by antialiased bilinear interpolation."""
    if size is None or images.pixels.shape[2:] == (size, size):
        return images

    def resize(pixels: Tensor) -> Tensor:  # (n, C, H, W) uint8
        scaled = functional.interpolate(
            pixels.float(), size=(size, size), mode="bilinear", antialias=True
        )
        return scaled.round().clamp(0, 255).to(torch.uint8)

    every = torch.arange(len(images.labels))
    pixels = torch.cat([resize(images.pixels[part]) for part in blocks(every)])
    return LabelledImages(pixels, images.labels, images.class_names)


def with_channels(images: LabelledImages, channels: int | None) -> LabelledImages:
    """Bring images to 1 or 3 channels; grey is the luma of ITU-R BT.601, as in Pillow."""
    pixels = images.pixels
    if channels is None or pixels.shape[1] == channels:
        return images
    if channels == 3:
        return replace(images, pixels=pixels.expand(-1, 3, -1, -1).contiguous())
    weights = torch.tensor([19595, 38470, 7471])[:, None, None]  # of 2**16
    every = torch.arange(len(images.labels))
    grey = [
        ((pixels[part].int() * weights).sum(1, keepdim=True) + 0x8000 >> 16).to(torch.uint8)
        for part in blocks(every)
    ]
    return replace(images, pixels=torch.cat(grey))


def _data_hash(content_hashes: list[str], parts: list[Tensor]) -> str:
    digest = hashlib.sha256(json.dumps(content_hashes).encode())
    for part in parts:
        digest.update(part.numpy().data)
        digest.update(b"|")
    return digest.hexdigest()
