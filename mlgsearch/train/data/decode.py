"""Image files to pixels of one size, decoded once into a file that all processes map."""

import hashlib
import logging
import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mlgsearch.control_groups import processors
from mlgsearch.errors import DataError
from mlgsearch.train.data.copies import first_copies
from mlgsearch.train.data.image_file import UNREADABLE, Look, content_bytes, read_image
from mlgsearch.train.data.images import LabelledImages
from mlgsearch.train.data.sources.listing import Listing
from mlgsearch.train.progress import Progress, no_progress
from mlgsearch.train.tensor_file import DamagedFileError, read_tensors, write_tensors
from mlgsearch.train.tensor_writer import TensorWriter
from mlgsearch.writable_place import check_cache

_log = logging.getLogger(__name__)

#: Bumped when the decoding changes, so that no older cache is taken for a newer one.
_FORMAT = 3
#: Images a thread decodes in one go.
_RUN = 256
#: Images that a message names, at most.
_MOST_NAMED = 100


def decode(
    listing: Listing,
    look: Look,
    cache: Path,
    *,
    skips_unreadable: bool = False,
    verifies: bool = True,
    progress: Progress = no_progress,
    before: Callable[[int, tuple[int, int, int]], object] | None = None,
) -> LabelledImages:
    """Decode the images of a listing into a file that is mapped, or find that in the cache.

    The file of pixels is named by its content, so sets of equal images share it; another, named by
    the listing, says which it is. Where the look has no ``image_size``, all images must have one
    size. Images that cannot be read are left out where ``skips_unreadable`` is set, with a notice.
    Without ``verifies`` the pixels are not compared with their checksum: another process did that.
    ``before`` is called with the number of classes and the shape (C, H, W) of an image where the
    images are not in the cache, before they are decoded.

    Raises:
        DataError: images cannot be read (the message names them); the sizes differ; or there is no
            room for the pixels.
        UserError: they are not in the cache, which cannot be written.
    """
    folder = cache / "data"
    path = folder / f"listing-{listing.key([_FORMAT, asdict(look)])}.safetensors"
    found = _find(path, folder, verifies=verifies)
    if found is None:
        height, width, channels = _first(listing, look).shape
        if before is not None:
            before(len(listing.class_names), (channels, height, width))
        check_cache(folder)
        _decode(listing, look, (height, width, channels), folder, path, progress)
        found = _find(path, folder, verifies=False)
        assert found is not None, "it was written just now"
    pixels, index = found
    kept, reasons = index.kept, index.reasons
    is_failed = torch.ones(len(listing), dtype=torch.bool)
    is_failed[kept] = False
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
        pixels,
        good.labels,
        good.class_names,
        good.parts,
        index.copy_of,
        good.names,
        (*good.notices, *skipped),
        index.content_hash,
    )


class _Index(NamedTuple):
    """What is known of a listing's images once they are decoded.

    ``kept`` are the positions of those that could be read, ``reasons`` why the others could not,
    ``copy_of`` what `first_copies` says of those kept.
    """

    kept: Tensor
    copy_of: Tensor
    reasons: list[str]
    content_hash: str


def _find(path: Path, folder: Path, *, verifies: bool) -> tuple[Tensor, _Index] | None:
    """Return the pixels and the index of a listing, or None where they are not there or damaged."""
    try:
        tensors, metadata = read_tensors(path)
        checksum, reasons, content_hash = (
            metadata[key] for key in ("pixels", "reasons", "content_hash")
        )
        stored, _ = read_tensors(folder / f"pixels-{checksum}.safetensors", verifies=verifies)
    except FileNotFoundError:
        return None
    except DamagedFileError as error:
        _log.warning("decoding the images again: %s", error)
        return None
    assert isinstance(reasons, list)
    assert isinstance(content_hash, str)
    index = _Index(tensors["kept"], tensors["copy_of"], reasons, content_hash)
    return stored["pixels"], index


def _named(unreadable: Sequence[tuple[str, str]]) -> str:
    lines = [f"{name}: {reason}" for name, reason in unreadable[:_MOST_NAMED]]
    if len(unreadable) > _MOST_NAMED:
        lines.append(f"and {len(unreadable) - _MOST_NAMED} more")
    return "\n  ".join([f"{len(unreadable)} images cannot be read:", *lines])


def _decode(
    listing: Listing,
    look: Look,
    image_shape: tuple[int, int, int],
    folder: Path,
    path: Path,
    progress: Progress,
) -> None:
    """Decode all images that can be read, and write their pixels and the listing's index."""
    failures: dict[int, str] = {}
    digests: dict[int, bytes] = {}
    height, width, channels = image_shape
    shape = (len(listing), channels, height, width)
    try:
        writer = TensorWriter(folder / "pixels-{sha256}.safetensors", "pixels", shape, "uint8")
    except OSError as error:
        raise DataError(
            f"data: {len(listing)} images of {height}x{width} take {math.prod(shape) / 1e9:.1f} GB "
            f"in {folder} ({error.strerror}); write a smaller data.image_size, or set "
            "MLGSEARCH_CACHE to a folder with more room"
        ) from error
    pixels = writer.array

    def decode_run(start: int) -> None:
        for position in range(start, min(start + _RUN, len(listing))):
            try:
                content = listing.read(position)
                image = read_image(content, look)
            except UNREADABLE as error:
                failures[position] = _reason(error)
                continue
            if image.shape != (height, width, channels):
                raise DataError(
                    f"data: {listing.names[position]} is {image.shape[0]}x{image.shape[1]} and "
                    f"others are {height}x{width}; write data.image_size to bring all images to "
                    "one size"
                )
            pixels[position] = image.transpose(2, 0, 1)
            digests[position] = hashlib.sha256(content_bytes(content)).digest()

    with writer:
        _in_parallel(decode_run, range(0, len(listing), _RUN), len(listing), progress)
        kept = sorted(digests)
        for row, position in enumerate(kept):
            if row != position:
                pixels[row] = pixels[position]
        checksum = writer.commit({}, rows=len(kept))
        labelled = LabelledImages(
            torch.from_numpy(pixels[: len(kept)]),
            listing.labels[torch.tensor(kept)],
            listing.class_names,
        )
        metadata = {
            "pixels": checksum,
            "content_hash": labelled.content_hash,
            "reasons": [failures[position] for position in sorted(failures)],
        }
    copy_of = first_copies([digests[position] for position in kept])
    write_tensors(path, {"kept": torch.tensor(kept), "copy_of": copy_of}, metadata)


def _in_parallel(
    decode_run: Callable[[int], None], starts: Iterable[int], count: int, progress: Progress
) -> None:
    """Decode runs of images in threads; Pillow releases the interpreter lock while it decodes."""
    pool = ThreadPoolExecutor(max_workers=min(32, processors()))
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            for run in [(start, pool.submit(decode_run, start)) for start in starts]:
                progress("data", run[0], count, "images decoded")
                run[1].result()
        finally:
            pool.shutdown(cancel_futures=True)


def _first(listing: Listing, look: Look) -> np.ndarray:
    """Return the first image that can be read."""
    reasons = []
    for position in range(len(listing)):
        try:
            return read_image(listing.read(position), look)
        except UNREADABLE as error:
            reasons.append(_reason(error))
    raise DataError(
        f"data: none of {len(listing)} images can be read (first: {listing.names[0]}: {reasons[0]})"
    )


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__
