"""An ImageFolder tree on disk: one directory a class, decoded once and cached."""

import hashlib
import json
import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
import torch
from PIL import Image, ImageOps

from mlgsearch.errors import DataError
from mlgsearch.train.data.images import LabelledImages
from mlgsearch.train.tensor_file import DamagedFileError, read_tensors, write_tensors

_log = logging.getLogger(__name__)

_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
#: Bumped when the decoding changes, so that no older cache is taken for a newer one.
_FORMAT = 1
#: Images a thread decodes in one go.
_RUN = 256


def load_folder(root: Path, image_size: int | None, cache: Path) -> LabelledImages:
    """Read a tree ``root/<class>/**/<image>`` as RGB, from the cache where it is unchanged.

    With ``image_size`` the shorter side is resized to it (antialiased) and the centre square is
    taken; without it, all images must have one size. The cache is keyed by the relative names,
    sizes and modification times of all files, and by ``image_size``.

    Raises:
        DataError: the root is missing, unreadable or holds no images; a file is not an image; the
            sizes differ; or the set does not fit in memory.
    """
    listing, class_names = _list_images(root)
    key = _listing_hash(listing, image_size)
    cached = cache / "data" / f"folder-{key}.safetensors"
    images = _read_cache(cached)
    if images is None:
        images = _decode(root, listing, class_names, image_size)
        write_tensors(
            cached,
            {"pixels": images.pixels, "labels": images.labels},
            {"class_names": list(class_names)},
        )
    return images


class _Entry(NamedTuple):
    """One image file: its path relative to the root, its class, and what dates it."""

    path: str
    label: int
    size: int
    modified_ns: int


def _list_images(root: Path) -> tuple[list[_Entry], tuple[str, ...]]:
    """Give the images, sorted by class and path, and the class names, sorted."""
    try:
        class_names = tuple(sorted(p.name for p in root.iterdir() if p.is_dir()))
        listing = [
            _Entry(path, label, status.st_size, status.st_mtime_ns)
            for label, name in enumerate(class_names)
            for path, status in sorted(_walk(root, name), key=itemgetter(0))
        ]
    except FileNotFoundError:
        raise DataError(
            f"data.root: {root} does not exist; write the folder that holds one directory a class"
        ) from None
    except OSError as error:
        raise DataError(f"data.root: {root} cannot be read: {error}") from error
    if not class_names:
        raise DataError(
            f"data.root: {root} holds no class directories; write the folder that holds one "
            "directory of images a class (for an ImageFolder tree with train/ inside, that is "
            "<root>/train)"
        )
    counts = np.bincount([entry.label for entry in listing], minlength=len(class_names))
    if len(listing) == 0 or (counts == 0).any():
        empty = [name for name, count in zip(class_names, counts, strict=True) if count == 0]
        raise DataError(
            f"data.root: {root}: no images in {', '.join(map(repr, empty[:5]))}; every directory "
            f"is a class and must hold files ending in {', '.join(_SUFFIXES)}"
        )
    return listing, class_names


def _walk(root: Path, inside: str) -> Iterator[tuple[str, os.stat_result]]:
    """Give every image file below ``root/inside``, with one system call a file."""
    with os.scandir(root / inside) as entries:
        for entry in entries:
            path = f"{inside}/{entry.name}"
            if entry.is_dir():
                yield from _walk(root, path)
            elif entry.name.lower().endswith(_SUFFIXES):
                yield path, entry.stat()


def _listing_hash(listing: list[_Entry], image_size: int | None) -> str:
    return hashlib.sha256(json.dumps([_FORMAT, image_size, listing]).encode()).hexdigest()[:32]


def _read_cache(path: Path) -> LabelledImages | None:
    """Give the cached set, or None where there is none or its content is damaged."""
    try:
        tensors, metadata = read_tensors(path)
    except FileNotFoundError:
        return None
    except DamagedFileError as error:
        _log.warning("decoding the images again: %s", error)
        return None
    class_names = metadata["class_names"]
    assert isinstance(class_names, list)
    return LabelledImages(tensors["pixels"], tensors["labels"], tuple(class_names))


def _decode(
    root: Path,
    listing: list[_Entry],
    class_names: tuple[str, ...],
    image_size: int | None,
) -> LabelledImages:
    first = _decode_one(root / listing[0].path, image_size)  # (H, W, 3)
    needed = first.nbytes * len(listing)
    available = psutil.virtual_memory().available
    if needed > available:
        raise DataError(
            f"data.root: {root}: {len(listing)} images of {first.shape[0]}x{first.shape[1]} take "
            f"{needed / 1e9:.1f} GB and {available / 1e9:.1f} GB of memory are free; write a "
            "smaller data.image_size"
        )
    pixels = np.empty((len(listing), *first.shape), dtype=np.uint8)

    def decode_run(start: int) -> None:
        for position in range(start, min(start + _RUN, len(listing))):
            image = _decode_one(root / listing[position].path, image_size)
            if image.shape != first.shape:
                raise DataError(
                    f"data.root: {root / listing[position].path} is {image.shape[0]}x"
                    f"{image.shape[1]} and {listing[0].path} is {first.shape[0]}x{first.shape[1]}; "
                    "write data.image_size to bring all images to one size"
                )
            pixels[position] = image

    # Pillow releases the interpreter lock while it decodes, so threads are enough.
    pool = ThreadPoolExecutor(max_workers=min(32, os.cpu_count() or 1))
    try:
        for run in [pool.submit(decode_run, start) for start in range(0, len(listing), _RUN)]:
            run.result()
    finally:
        pool.shutdown(cancel_futures=True)
    return LabelledImages(
        torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(),  # (N, 3, H, W)
        torch.tensor([entry.label for entry in listing]),
        class_names,
    )


def _decode_one(path: Path, image_size: int | None) -> np.ndarray:
    """Give one image as RGB, uint8 of shape (H, W, 3)."""
    try:
        with Image.open(path) as image:
            rgb = image.convert("RGB")
    # Pillow raises SyntaxError and ValueError from within some decoders on damaged files.
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(
            f"data.root: {path} is not a readable image ({error}); replace it or take it out"
        ) from error
    if image_size is not None and rgb.size != (image_size, image_size):
        rgb = ImageOps.fit(rgb, (image_size, image_size), Image.Resampling.BILINEAR)
    return np.asarray(rgb)
