"""Encoded images in tar files as WebDataset has them: `key.jpg` and `key.cls`, one sample."""

import os
import re
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from mlgsearch.errors import DataError
from mlgsearch.train.data.sources.class_labels import index_labels
from mlgsearch.train.data.sources.folder import SUFFIXES
from mlgsearch.train.data.sources.listing import Listing
from mlgsearch.train.data.sources.part_files import part_files
from mlgsearch.train.spec import DataSpec

_LABEL = "cls"


def list_webdataset(spec: DataSpec) -> Listing:
    """List the samples of a tar file, of a folder's tar files, or of those for each part.

    Files of one sample lie side by side and have one name up to its first dot; the label, a whole
    number or a name, is in the one that ends in ``.cls``. Images are read where they lie.

    Raises:
        DataError: a file is missing, damaged or compressed, or a sample has no label.
    """
    files, has_parts = part_files(spec, ".tar")
    shards = [(part, _read_shard(path)) for part, paths in files.items() for path in paths]
    samples = [(part, shard, sample) for part, shard in shards for sample in shard.samples]
    labels = {
        part: np.asarray(_numbers([s.label for number, _, s in samples if number == part]))
        for part in files
    }
    names, indices = index_labels(f"data: {shards[0][1].path}", labels)
    notices = [f"{shard.path}: {text}" for _, shard in shards for text in shard.notices()]

    def read(position: int) -> bytes:
        _, shard, sample = samples[position]
        with shard.path.open("rb") as file:
            return os.pread(file.fileno(), sample.size, sample.offset)

    return Listing(
        names=[f"{shard.path}: {sample.name}" for _, shard, sample in samples],
        labels=indices,
        class_names=names,
        parts=torch.tensor([part for part, _, _ in samples]) if has_parts else None,
        stamps=[(*shard.stamp, sample.name, sample.offset) for _, shard, sample in samples],
        read=read,
        notices=tuple(notices),
    )


@dataclass
class _Sample:
    """One sample: where its image lies in the file, and its label's text."""

    name: str = ""
    offset: int = 0
    size: int = 0
    label: str | None = None


@dataclass
class _Shard:
    """The samples of one tar file, in its order."""

    path: Path
    stamp: tuple[str, int, int]
    samples: list[_Sample] = field(default_factory=list)
    endings: Counter[str] = field(default_factory=Counter)
    without_image: list[str] = field(default_factory=list)

    def notices(self) -> Iterator[str]:
        if self.endings:
            most = sorted(self.endings.items(), key=lambda found: (-found[1], found[0]))[:8]
            counts = ", ".join(f"{ending} {count}" for ending, count in most)
            yield f"{self.endings.total()} files are not images: {counts}"
        if self.without_image:
            yield (
                f"{len(self.without_image)} samples without an image are left out "
                f"(first: {self.without_image[0]})"
            )


def _read_shard(path: Path) -> _Shard:
    try:
        status = path.stat()
        shard = _Shard(path, (path.name, status.st_size, status.st_mtime_ns))
        found: dict[str, _Sample] = {}
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                folder, _, name = member.name.rpartition("/")
                stem, _, ending = name.partition(".")
                if not member.isfile() or not stem:  # hidden files have an empty stem
                    continue
                sample = found.setdefault(f"{folder}/{stem}", _Sample())
                if ending.lower() == _LABEL:
                    content = archive.extractfile(member)
                    assert content is not None, "it is a plain file"
                    sample.label = content.read().decode().strip()
                elif name.lower().endswith(SUFFIXES):
                    if sample.name:
                        raise DataError(
                            f"data: {path} has two images of one sample, {sample.name} and "
                            f"{member.name}"
                        )
                    sample.name = member.name
                    sample.offset, sample.size = member.offset_data, member.size
                else:
                    shard.endings[f".{ending.lower()}" if ending else "no ending"] += 1
    except (OSError, tarfile.TarError, UnicodeDecodeError, EOFError) as error:
        said = " ".join(str(error).split())
        raise DataError(
            f"data: {path} cannot be read as an uncompressed tar file: {said}"
        ) from error
    for key, sample in found.items():
        if not sample.name:
            shard.without_image.append(key.lstrip("/"))
        elif sample.label is None:
            raise DataError(
                f"data: {path}: {sample.name} has no label: a file {key.lstrip('/')}.{_LABEL} with "
                "its class"
            )
        else:
            shard.samples.append(sample)
    if shard.samples and max(s.offset + s.size for s in shard.samples) > status.st_size:
        raise DataError(f"data: {path} cannot be read as an uncompressed tar file: it is cut off")
    return shard


def _numbers(labels: list[str | None]) -> list[int] | list[str]:
    """Return labels as whole numbers where all of them are, else as text."""
    texts = [str(label) for label in labels]
    if all(re.fullmatch(r"-?[0-9]+", text) for text in texts):
        return [int(text) for text in texts]
    return texts
