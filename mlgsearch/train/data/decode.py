"""Image files to pixels of one size, decoded once and cached."""

import contextlib
import hashlib
import logging
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import psutil
import torch
from PIL import Image
from torch import Tensor

from mlgsearch.errors import DataError
from mlgsearch.train.data.copies import first_copies
from mlgsearch.train.data.image_file import UNREADABLE, Look, read_image
from mlgsearch.train.data.images import LabelledImages
from mlgsearch.train.data.listing import Listing
from mlgsearch.train.tensor_file import DamagedFileError, read_tensors, write_tensors

_log = logging.getLogger(__name__)

#: Bumped when the decoding changes, so that no older cache is taken for a newer one.
_FORMAT = 2
#: Images a thread decodes in one go.
_RUN = 256
#: Images that a message names, at most.
_MOST_NAMED = 100


def decode(
    listing: Listing, look: Look, cache: Path, *, skips_unreadable: bool = False
) -> LabelledImages:
    """Decode the images of a listing, or read them from the cache.

    Where the look has no ``image_size``, all images must have one size. Images that cannot be read
    are left out where ``skips_unreadable`` is set, with a notice.

    Raises:
        DataError: images cannot be read (the message names them); the sizes differ; or the set
            does not fit in memory.
    """
    cached = cache / "data" / f"folder-{listing.key([_FORMAT, asdict(look)])}.safetensors"
    try:
        tensors, metadata = read_tensors(cached)
    except FileNotFoundError:
        tensors, metadata = {}, {}
    except DamagedFileError as error:
        _log.warning("decoding the images again: %s", error)
        tensors, metadata = {}, {}
    if not tensors:
        tensors, failures = _decode(listing, look)
        metadata = {"reasons": [failures[place] for place in sorted(failures)]}
        if not failures or skips_unreadable:
            write_tensors(cached, tensors, metadata)
    kept = tensors["kept"]
    is_failed = torch.ones(len(listing), dtype=torch.bool)
    is_failed[kept] = False
    reasons = metadata["reasons"]
    assert isinstance(reasons, list)
    failed = [listing.names[place] for place in is_failed.nonzero().flatten().tolist()]
    unreadable = sorted([*listing.unreadable, *zip(failed, reasons, strict=True)])
    if unreadable and not skips_unreadable:
        raise DataError(
            f"data: {_named(unreadable)}\nreplace them, take them out, or write "
            "data.unreadable: skip"
        )
    good = listing.only(kept)
    skipped = (f"left out: {_named(unreadable)}",) if unreadable else ()
    return LabelledImages(
        tensors["pixels"],
        good.labels,
        good.class_names,
        good.parts,
        tensors["copy_of"],
        good.names,
        (*good.notices, *skipped),
    )


def _named(unreadable: Sequence[tuple[str, str]]) -> str:
    lines = [f"{name}: {reason}" for name, reason in unreadable[:_MOST_NAMED]]
    if len(unreadable) > _MOST_NAMED:
        lines.append(f"and {len(unreadable) - _MOST_NAMED} more")
    return "\n  ".join([f"{len(unreadable)} images cannot be read:", *lines])


def _decode(listing: Listing, look: Look) -> tuple[dict[str, Tensor], dict[int, str]]:
    """Decode all images; returns tensors of those that can be read, and why others cannot."""
    failures: dict[int, str] = {}
    digests: dict[int, bytes] = {}
    first = _first(listing, look)  # (H, W, C)
    needed = first.nbytes * len(listing)
    available = psutil.virtual_memory().available
    if needed > available:
        raise DataError(
            f"data: {len(listing)} images of {first.shape[0]}x{first.shape[1]} take "
            f"{needed / 1e9:.1f} GB and {available / 1e9:.1f} GB of memory are free; write a "
            "smaller data.image_size"
        )
    pixels = np.empty((len(listing), *first.shape), dtype=np.uint8)

    def decode_run(start: int) -> None:
        for position in range(start, min(start + _RUN, len(listing))):
            try:
                content = listing.read(position)
                image = read_image(content, look)
            except UNREADABLE as error:
                failures[position] = _reason(error)
                continue
            if image.shape != first.shape:
                raise DataError(
                    f"data: {listing.names[position]} is {image.shape[0]}x{image.shape[1]} and "
                    f"others are {first.shape[0]}x{first.shape[1]}; write data.image_size to bring "
                    "all images to one size"
                )
            pixels[position] = image
            digests[position] = hashlib.sha256(content).digest()

    # Pillow releases the interpreter lock while it decodes, so threads are enough.
    pool = ThreadPoolExecutor(max_workers=min(32, os.cpu_count() or 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            for run in [pool.submit(decode_run, start) for start in range(0, len(listing), _RUN)]:
                run.result()
        finally:
            pool.shutdown(cancel_futures=True)
    kept = torch.tensor(sorted(digests))
    good = torch.from_numpy(pixels)
    return {
        "pixels": (good[kept] if failures else good).permute(0, 3, 1, 2).contiguous(),
        "kept": kept,
        "copy_of": first_copies([digests[position] for position in kept.tolist()]),
    }, failures


def _first(listing: Listing, look: Look) -> np.ndarray:
    """Return the first image that can be read."""
    for position in range(len(listing)):
        with contextlib.suppress(*UNREADABLE):
            return read_image(listing.read(position), look)
    raise DataError(f"data: none of {len(listing)} images can be read (first: {listing.names[0]})")


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__
