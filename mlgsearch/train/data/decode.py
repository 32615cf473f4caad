"""Image files to pixels of one size, decoded once and cached."""

import hashlib
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import psutil
import torch

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


def decode(listing: Listing, look: Look, cache: Path) -> LabelledImages:
    """Decode the images of a listing, or read them from the cache.

    Where the look has no ``image_size``, all images must have one size.

    Raises:
        DataError: a file is not an image; the sizes differ; or the set does not fit in memory.
    """
    cached = cache / "data" / f"folder-{listing.key([_FORMAT, asdict(look)])}.safetensors"
    try:
        tensors, _ = read_tensors(cached)
    except FileNotFoundError:
        tensors = {}
    except DamagedFileError as error:
        _log.warning("decoding the images again: %s", error)
        tensors = {}
    if not tensors:
        tensors = _decode(listing, look)
        write_tensors(cached, tensors, {"class_names": list(listing.class_names)})
    return LabelledImages(
        tensors["pixels"],
        listing.labels,
        listing.class_names,
        listing.parts,
        tensors["copy_of"],
        listing.names,
    )


def _decode(listing: Listing, look: Look) -> dict[str, torch.Tensor]:
    first = _decode_one(listing.names[0], listing.read(0), look)  # (H, W, C)
    needed = first.nbytes * len(listing)
    available = psutil.virtual_memory().available
    if needed > available:
        raise DataError(
            f"data: {len(listing)} images of {first.shape[0]}x{first.shape[1]} take "
            f"{needed / 1e9:.1f} GB and {available / 1e9:.1f} GB of memory are free; write a "
            "smaller data.image_size"
        )
    pixels = np.empty((len(listing), *first.shape), dtype=np.uint8)
    digests = [b""] * len(listing)

    def decode_run(start: int) -> None:
        for position in range(start, min(start + _RUN, len(listing))):
            content = listing.read(position)
            image = _decode_one(listing.names[position], content, look)
            if image.shape != first.shape:
                raise DataError(
                    f"data: {listing.names[position]} is {image.shape[0]}x{image.shape[1]} and "
                    f"{listing.names[0]} is {first.shape[0]}x{first.shape[1]}; write "
                    "data.image_size to bring all images to one size"
                )
            pixels[position] = image
            digests[position] = hashlib.sha256(content).digest()

    # Pillow releases the interpreter lock while it decodes, so threads are enough.
    pool = ThreadPoolExecutor(max_workers=min(32, os.cpu_count() or 1))
    try:
        for run in [pool.submit(decode_run, start) for start in range(0, len(listing), _RUN)]:
            run.result()
    finally:
        pool.shutdown(cancel_futures=True)
    return {
        "pixels": torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(),  # (N, C, H, W)
        "copy_of": first_copies(digests),
    }


def _decode_one(name: str, content: bytes, look: Look) -> np.ndarray:
    """Return one image as uint8 of shape (H, W, C)."""
    try:
        return read_image(content, look)
    except UNREADABLE as error:
        raise DataError(
            f"data: {name} is not a readable image ({error}); replace it or take it out"
        ) from error
