"""Encoded images in Parquet files, laid out as Hugging Face's `datasets` does."""

import json
import threading
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from mlgsearch.errors import DataError
from mlgsearch.train.data.sources.class_labels import index_labels
from mlgsearch.train.data.sources.listing import Listing
from mlgsearch.train.data.sources.part_files import part_files
from mlgsearch.train.spec import DataSpec

#: Where `datasets` writes the types of columns into a schema.
_FEATURES = b"huggingface"
#: What columns of labels are called where the schema does not say which is one.
_LABELS = ("label", "labels")
#: Row groups that are kept decoded: threads read on from one while others finish the one before.
_KEPT = 2


def list_parquet(spec: DataSpec) -> Listing:
    """List the rows of a file, of a folder's files, or of those for each part.

    A row has the image's bytes, in a column of structs with a field ``bytes`` or of bytes, and a
    label: the column that the schema of `datasets` calls a class label, or one called label.
    ``data.label_column`` names another.

    Raises:
        DataError: a file is missing or damaged, or has no such columns.
    """
    files, has_parts = part_files(spec, ".parquet")
    tables: list[tuple[int, _File]] = []
    for part, paths in files.items():
        for path in paths:
            try:
                tables.append((part, _File(path, spec.label_column)))
            except (OSError, pa.ArrowException) as error:
                said = " ".join(str(error).split())
                raise DataError(f"data: {path} cannot be read as Parquet: {said}") from error
    labels: dict[int, np.ndarray] = {}
    for part in files:
        labels[part] = np.concatenate([file.labels for number, file in tables if number == part])
    names, indices = index_labels(f"data: {tables[0][1].path}", labels, tables[0][1].class_names)
    ordered = [(part, file) for part in labels for number, file in tables if number == part]
    starts = list(accumulate((len(file.labels) for _, file in ordered), initial=0))

    def read(position: int) -> bytes:
        number = bisect_right(starts, position) - 1
        return ordered[number][1].read(position - starts[number])

    counts = torch.tensor([len(file.labels) for _, file in ordered])
    numbers = torch.tensor([part for part, _ in ordered])
    return Listing(
        names=[f"{file.path}: row {row}" for _, file in ordered for row in range(len(file.labels))],
        labels=indices,
        class_names=names,
        parts=numbers.repeat_interleave(counts) if has_parts else None,
        stamps=[stamp for _, file in ordered for stamp in file.stamps],
        read=read,
    )


class _File:
    """One Parquet file: its labels, and its images, a row group at a time."""

    def __init__(self, path: Path, label_column: str | None) -> None:
        self.path = path
        self._file = pq.ParquetFile(path)
        schema = self._file.schema_arrow
        features = _features(schema)
        self._image = _image_column(path, schema)
        label = _label_column(path, schema, features, label_column)
        values = self._file.read([label]).column(0)
        if values.null_count:
            raise DataError(f"data: {path}: {values.null_count} rows have no {label}")
        self.labels = np.asarray(values.to_pylist())
        names = features.get(label, {}).get("names")
        self.class_names: Sequence[str] | None = list(map(str, names)) if names else None
        status = path.stat()
        stamp = (path.name, status.st_size, status.st_mtime_ns)
        self.stamps = [(*stamp, row) for row in range(len(self.labels))]
        groups = range(self._file.num_row_groups)
        sizes = [self._file.metadata.row_group(group).num_rows for group in groups]
        self._starts = list(accumulate(sizes, initial=0))
        self._groups: dict[int, Any] = {}
        self._lock = threading.Lock()

    def read(self, row: int) -> bytes:
        """Return the bytes of a row's image.

        Raises:
            ValueError: the row has none.
        """
        number = bisect_right(self._starts, row) - 1
        with self._lock:
            if number not in self._groups:
                while len(self._groups) >= _KEPT:
                    del self._groups[next(iter(self._groups))]
                table = self._file.read_row_group(number, [self._image])
                self._groups[number] = table.column(0)
            cell = self._groups[number][row - self._starts[number]].as_py()
        content = cell["bytes"] if isinstance(cell, dict) else cell
        if content is None:
            place = cell.get("path") if isinstance(cell, dict) else None
            beside = f"; it is kept beside the set, in {place!r}" if place else ""
            raise ValueError(f"the row holds no bytes of an image{beside}")
        return bytes(content)


def _features(schema: pa.Schema) -> Mapping[str, Any]:
    """Return what `datasets` says of columns, by name; nothing where it wrote nothing."""
    text = (schema.metadata or {}).get(_FEATURES)
    try:
        found = {} if text is None else json.loads(text)["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    return {n: f for n, f in found.items() if isinstance(f, dict)} if found else {}


def _is_encoded(kind: pa.DataType) -> bool:
    """Return whether a column holds bytes, by themselves or as a field ``bytes``."""
    if pa.types.is_struct(kind):
        index = kind.get_field_index("bytes")
        return index >= 0 and _is_encoded(kind.field(index).type)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _image_column(path: Path, schema: pa.Schema) -> str:
    found = [field.name for field in schema if _is_encoded(field.type)]
    if len(found) != 1:
        raise DataError(
            f"data: {path} must have one column of images, structs with bytes as `datasets` writes "
            f"them; it has {_listed(found)} of the columns {', '.join(schema.names)}"
        )
    return str(found[0])


def _label_column(
    path: Path, schema: pa.Schema, features: Mapping[str, Any], asked: str | None
) -> str:
    if asked is not None:
        if asked not in schema.names:
            raise DataError(
                f"data.label_column: {path} has no column {asked!r}; it has "
                f"{', '.join(schema.names)}"
            )
        return asked
    found = [name for name, feature in features.items() if feature.get("_type") == "ClassLabel"]
    found = [name for name in found if name in schema.names]
    found = found or [name for name in schema.names if name in _LABELS]
    if len(found) != 1:
        raise DataError(
            f"data: {path} has {_listed(found)} for labels; name one of its columns "
            f"({', '.join(schema.names)}) in data.label_column"
        )
    return found[0]


def _listed(names: Sequence[str]) -> str:
    return " and ".join(names) or "none"
