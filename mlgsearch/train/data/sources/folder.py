"""Images in folders: one directory per class, with or without directories for the parts above."""

import os
from collections import Counter
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from mlgsearch.errors import DataError
from mlgsearch.train.data.sources.listing import PARTS, TRAIN, Listing
from mlgsearch.train.data.sources.part_files import PART_NAMES, given_parts
from mlgsearch.train.spec import DataSpec

#: What names of image files end in.
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
#: Folders and files that systems leave behind; those that begin with a dot are left out as well.
_NOT_IMAGES = ("__MACOSX", "@eaDir", "lost+found", "$RECYCLE.BIN", "System Volume Information")


def list_folder(spec: DataSpec) -> Listing:
    """List the images of a folder, sorted by part, class and path.

    The parts are those that the specification names, or those of a tree ``root/train/<class>``
    with ``val`` or ``test`` beside ``train``; else the directories below the root are classes.

    Raises:
        DataError: a folder is missing, unreadable, or holds no images of a class; or a part has a
            class that is not for training.
    """
    roots = given_parts(spec) or _tree_parts(_root(spec))
    if roots is None:
        found = _list_classes("data.root", _root(spec))
        return _listing({TRAIN: found}, has_parts=False)
    found_parts = {
        part: _list_classes(f"data.{PARTS[part]}", root) for part, root in sorted(roots.items())
    }
    known = found_parts[TRAIN].class_names
    for part, part_found in found_parts.items():
        for name in part_found.class_names:
            if name not in known:
                raise DataError(
                    f"data.{PARTS[part]}: {part_found.root} has the class {name!r}, which "
                    f"{found_parts[TRAIN].root} does not have: all classes must be for training"
                )
    return _listing(found_parts, has_parts=True)


class _File(NamedTuple):
    """One image file: its path below the part's root, its class, and what dates it."""

    path: str
    class_name: str
    size: int
    modified_ns: int


class _Classes(NamedTuple):
    """The classes below a directory, sorted, and their files, sorted by class and path."""

    root: Path
    class_names: tuple[str, ...]
    files: list[_File]
    left_out: "LeftOut"


def _root(spec: DataSpec) -> Path:
    assert spec.root is not None, "DataSpec lets no folder go without a root or parts"
    return Path(spec.root).expanduser()


def _tree_parts(root: Path) -> dict[int, Path] | None:
    """Return the directories of the parts of a tree, or None where those below are classes.

    It is a tree where every directory is called as a part and holds directories, one of them for
    training.
    """
    try:
        below = [root / name for name in sorted(LeftOut().visible(root))]
        holds = [any(path.is_dir() for path in folder.iterdir()) for folder in below]
    except OSError:  # reported where the classes are listed
        return None
    parts: dict[int, Path] = {}
    for folder in below:
        number = next((n for n, names in enumerate(PART_NAMES) if folder.name in names), None)
        if number is None:
            return None
        if number in parts:
            raise DataError(
                f"data.root: {root} has both {parts[number].name}/ and {folder.name}/; name the "
                "parts: data.train, data.validation, data.test"
            )
        parts[number] = folder
    return parts if TRAIN in parts and all(holds) else None


def _list_classes(key: str, root: Path) -> _Classes:
    """List the images below a directory that holds one directory per class.

    Raises:
        DataError: it is missing, unreadable, or a class is empty.
    """
    left_out = LeftOut()
    try:
        class_names = tuple(sorted(left_out.visible(root)))
        files = [
            _File(path, name, status.st_size, status.st_mtime_ns)
            for name in class_names
            for path, status in sorted(_walk(root, name, frozenset(), left_out), key=itemgetter(0))
        ]
    except FileNotFoundError:
        raise DataError(
            f"{key}: {root} does not exist; write the folder that holds one directory per class"
        ) from None
    except OSError as error:
        raise DataError(f"{key}: {root} cannot be read: {error}") from error
    if not class_names:
        raise DataError(
            f"{key}: {root} holds no class directories; write the folder that holds one "
            "directory of images per class"
        )
    filled = {file.class_name for file in files}
    empty = [name for name in class_names if name not in filled]
    if empty:
        others = f" ({left_out.other_files()})" if left_out.endings else ""
        raise DataError(
            f"{key}: {root}: no images in {', '.join(map(repr, empty[:5]))}{others}; every "
            f"directory is a class and must hold files ending in {', '.join(SUFFIXES)}"
        )
    return _Classes(root, class_names, files, left_out)


class LeftOut:
    """What lies in a folder of images and is not among them."""

    def __init__(self) -> None:
        self.endings: Counter[str] = Counter()
        self.hidden: list[str] = []
        self.loops: list[str] = []
        self.unreadable: list[tuple[str, str]] = []

    def visible(self, root: Path) -> Iterator[str]:
        """Yield the names of the directories below ``root`` that are not hidden."""
        for path in root.iterdir():
            if path.is_dir():
                if _is_hidden(path.name):
                    self.hidden.append(path.name)
                else:
                    yield path.name

    def other_files(self) -> str:
        """Return a text that counts the files that are no images, by their endings."""
        most = sorted(self.endings.items(), key=lambda found: (-found[1], found[0]))[:8]
        counts = ", ".join(f"{ending} {count}" for ending, count in most)
        return f"{self.endings.total()} files are not images: {counts}"

    def notices(self) -> Iterator[str]:
        """Yield a sentence for each kind of what is left out."""
        if self.endings:
            yield self.other_files()
        if self.hidden:
            yield f"{len(self.hidden)} hidden entries are left out (first: {min(self.hidden)})"
        if self.loops:
            yield (
                f"{len(self.loops)} links to a folder that they are in are left out "
                f"(first: {min(self.loops)})"
            )


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in _NOT_IMAGES


def _walk(
    root: Path, inside: str, above: frozenset[tuple[int, int]], left_out: LeftOut
) -> Iterator[tuple[str, os.stat_result]]:
    """Yield every image file below ``root/inside``, with one system call per file.

    ``above`` are device and inode of the directories that were entered on the way.
    """
    status = (root / inside).stat()
    here = (status.st_dev, status.st_ino)
    if here in above:
        left_out.loops.append(inside)
        return
    with os.scandir(root / inside) as entries:
        for entry in entries:
            path = f"{inside}/{entry.name}"
            is_image = entry.name.lower().endswith(SUFFIXES)
            if _is_hidden(entry.name):
                if is_image or entry.is_dir():
                    left_out.hidden.append(path)
                continue
            try:
                if entry.is_dir():
                    yield from _walk(root, path, above | {here}, left_out)
                elif not is_image:
                    left_out.endings[Path(entry.name).suffix.lower() or "no ending"] += 1
                elif entry.is_file():
                    yield path, entry.stat()
                else:
                    reason = "a link to nothing" if entry.is_symlink() else "no file"
                    left_out.unreadable.append((str(root / path), reason))
            except OSError as error:
                left_out.unreadable.append((str(root / path), error.strerror or str(error)))


def _listing(found: dict[int, _Classes], *, has_parts: bool) -> Listing:
    class_names = found[TRAIN].class_names
    if len(class_names) < 2:
        raise DataError(
            f"data.root: {found[TRAIN].root} holds one class directory, {class_names[0]!r}; "
            "classification needs at least two (write the folder one level further in?)"
        )
    numbers = {name: number for number, name in enumerate(class_names)}
    files = [
        (part, classes.root, file) for part, classes in found.items() for file in classes.files
    ]
    paths = [root / file.path for _, root, file in files]
    return Listing(
        names=[str(path) for path in paths],
        labels=torch.tensor([numbers[file.class_name] for _, _, file in files]),
        class_names=class_names,
        parts=torch.from_numpy(np.array([part for part, _, _ in files])) if has_parts else None,
        stamps=[(file.path, file.size, file.modified_ns) for _, _, file in files],
        read=lambda position: paths[position].read_bytes(),
        notices=tuple(
            f"{classes.root}: {text}"
            for classes in found.values()
            for text in classes.left_out.notices()
        ),
        unreadable=tuple(
            problem for classes in found.values() for problem in classes.left_out.unreadable
        ),
    )
