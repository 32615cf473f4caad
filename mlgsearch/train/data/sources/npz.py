"""Images and labels in NumPy's `.npz` files."""

import math
import os
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mlgsearch.errors import DataError
from mlgsearch.train.data.sources.array_set import ArrayPart, list_arrays
from mlgsearch.train.data.sources.listing import PARTS, TRAIN, Listing
from mlgsearch.train.data.sources.part_files import PART_NAMES, part_files
from mlgsearch.train.spec import DataSpec

#: Bytes of a member's own header in a zip file, before its name.
_LOCAL_HEADER = 30


def list_npz(spec: DataSpec) -> Listing:
    """List the arrays ``images`` and ``labels`` of a file, or of one file per part.

    One file may also hold the parts as ``train_images``, ``train_labels``, ``val_images`` and so
    on, and the names of the classes as ``class_names``. Images are (N, H, W), (N, H, W, C) or
    (N, C, H, W). What was stored as it is, as `numpy.savez` does, is read row by row; what is
    compressed is held in memory.

    Raises:
        DataError: a file is missing or damaged, or has no such arrays.
    """
    files, has_parts = part_files(spec, ".npz")
    parts: dict[int, list[ArrayPart]] = {}
    names: Sequence[str] | None = None
    for part, paths in files.items():
        for path in paths:
            try:
                with np.load(path) as archive:
                    found = _pairs(path, archive.files, part if has_parts else None)
                    has_parts = has_parts or len(found) > 1 or TRAIN not in found
                    for number, (images, labels) in found.items():
                        pair = ArrayPart(path, _array(path, images), archive[labels])
                        parts.setdefault(number, []).append(pair)
                    if "class_names" in archive.files:
                        names = [str(name) for name in archive["class_names"]]
            except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
                raise DataError(f"data: {path} cannot be read as .npz: {error}") from error
    return list_arrays(parts, names, has_parts=has_parts)


def _pairs(path: Path, arrays: Sequence[str], part: int | None) -> dict[int, tuple[str, str]]:
    """Return the names of images and labels in a file, by part."""
    if "images" in arrays and "labels" in arrays:
        return {TRAIN if part is None else part: ("images", "labels")}
    found = {}
    for number, words in enumerate(PART_NAMES if part is None else ()):
        for word in words:
            if f"{word}_images" in arrays and f"{word}_labels" in arrays:
                found[number] = (f"{word}_images", f"{word}_labels")
    if TRAIN not in found:
        raise DataError(
            f"data: {path} must hold the arrays images and labels, or train_images and "
            f"train_labels; it holds {', '.join(arrays) or 'none'}"
            + ("" if part is None else f" (it is for the {PARTS[part]} part)")
        )
    return found


def _array(path: Path, name: str) -> "np.ndarray | StoredRows":
    """Return an array of an archive; where it is not compressed its rows are left in the file."""
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo(f"{name}.npy")
        if member.compress_type != zipfile.ZIP_STORED:
            with np.load(path) as loaded:
                array: np.ndarray = loaded[name]
                return array
    with path.open("rb") as file:
        file.seek(member.header_offset)
        name_bytes, extra_bytes = struct.unpack("<HH", file.read(_LOCAL_HEADER)[26:30])
        file.seek(member.header_offset + _LOCAL_HEADER + name_bytes + extra_bytes)
        version = np.lib.format.read_magic(file)
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, is_fortran, dtype = read(file)
        if dtype.hasobject:
            raise ValueError(f"{name} holds Python objects; save numbers")
        offset = file.tell()
    if is_fortran:  # whose rows do not lie together
        mapped: np.ndarray = np.memmap(path, dtype, "r", offset, shape, "F")
        return mapped
    return StoredRows(path, dtype, offset, shape)


class StoredRows:
    """The rows of an array in a file, each read when it is asked for."""

    def __init__(self, path: Path, dtype: np.dtype, offset: int, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self._path = path
        self._dtype = dtype
        self._offset = offset
        self._row_bytes = dtype.itemsize * math.prod(shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, row: int) -> np.ndarray:
        with self._path.open("rb") as file:
            start = self._offset + row * self._row_bytes
            content = os.pread(file.fileno(), self._row_bytes, start)
        if len(content) < self._row_bytes:
            raise OSError("the file is cut off")
        return np.frombuffer(content, self._dtype).reshape(self.shape[1:])
