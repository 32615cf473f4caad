"""Which files of a set are for which part: named in the study file, or by their own names."""

import re
from collections.abc import Iterator
from pathlib import Path

from mlgsearch.errors import DataError
from mlgsearch.train.data.sources.listing import PARTS, TRAIN
from mlgsearch.train.spec import DataSpec

#: What people call parts, by the number of the part.
PART_NAMES = (("train", "training"), ("val", "valid", "validation"), ("test", "testing"))


def part_files(spec: DataSpec, suffix: str) -> tuple[dict[int, list[Path]], bool]:
    """Return the files with a suffix by part, sorted, and whether the set has parts.

    The parts are those that the specification names, each a file or a folder. Else, where a word in
    the name of each file below the root, or of a folder that it is in, is that of a part, they go
    by that, as in ``data/train-00000-of-00002.parquet``; otherwise all files are one set.

    Raises:
        DataError: there are none, they cannot be read, or only some have a part's name.
    """
    if (given := given_parts(spec)) is not None:
        return {
            part: _files(f"data.{PARTS[part]}", place, suffix) for part, place in given.items()
        }, True
    assert spec.root is not None, "DataSpec lets no such set go without a root or parts"
    root = Path(spec.root).expanduser()
    found = _files("data.root", root, suffix)
    if root.is_file():
        return {TRAIN: found}, False
    parts: dict[int, list[Path]] = {}
    without = []
    for path in found:
        words = re.split(r"[^a-z]+", str(path.relative_to(root)).lower())
        called = {n for n, names in enumerate(PART_NAMES) if any(name in words for name in names)}
        if len(called) == 1:
            parts.setdefault(called.pop(), []).append(path)
        else:
            without.append(path)
    if not parts:
        return {TRAIN: found}, False
    if without or TRAIN not in parts:
        missing = f"{without[0].relative_to(root)} is not" if without else "none is for training"
        raise DataError(
            f"data.root: some files in {root} have a part's name (train, validation, test), but "
            f"{missing}; name the parts: data.train, data.validation, data.test"
        )
    return dict(sorted(parts.items())), True


def given_parts(spec: DataSpec) -> dict[int, Path] | None:
    """Return the places of the parts that a specification names, by the part's number."""
    if spec.train is None:
        return None
    base = Path() if spec.root is None else Path(spec.root).expanduser()
    named = {TRAIN: spec.train, 1: spec.validation_folder, 2: spec.test}
    return {
        part: base / Path(text).expanduser() for part, text in named.items() if text is not None
    }


def _files(key: str, place: Path, suffix: str) -> list[Path]:
    try:
        if place.is_dir():
            found = sorted(_below(place, suffix))
        elif place.suffix.lower() == suffix:
            place.stat()
            found = [place]
        else:
            place.stat()
            found = []
    except OSError as error:
        raise DataError(f"{key}: {place} cannot be read: {error.strerror}") from error
    if not found:
        raise DataError(f"{key}: {place} holds no {suffix} files")
    return found


def _below(folder: Path, suffix: str) -> Iterator[Path]:
    """Yield the files below a folder that are not hidden; links to folders are not followed."""
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _below(path, suffix)
        elif path.suffix.lower() == suffix and path.is_file():
            yield path
