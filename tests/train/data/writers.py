"""The same pictures in every kind of source, for tests that all kinds pass."""

import io
import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

#: Pictures by part and class; the part "" is a set without parts.
Pictures = Mapping[str, Mapping[str, Sequence[np.ndarray]]]

#: A module of a user's own that makes torch data sets of the arrays beside it.
OWN = """\
import numpy as np


class Pictures:
    def __init__(self, path, part):
        with np.load(path) as found:
            self.images, self.labels = found[f"{part}images"], found[f"{part}labels"]
            self.classes = [str(name) for name in found["class_names"]]

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, row):
        return self.images[row], int(self.labels[row])


def make(root):
    with np.load(root) as found:
        parts = [name.removesuffix("_images") for name in found if name.endswith("_images")]
    if not parts:
        return Pictures(root, "")
    return {part: Pictures(root, f"{part}_") for part in parts}
"""


def pictures(seed: int = 0, side: int = 12, **counts: int) -> dict[str, list[np.ndarray]]:
    """Draw RGB pictures by class, all of them different."""
    noise = np.random.default_rng(seed)
    return {
        name: [noise.integers(0, 256, (side, side, 3), dtype=np.uint8) for _ in range(count)]
        for name, count in counts.items()
    }


def png(picture: np.ndarray) -> bytes:
    """Encode a picture without loss."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def _rows(classes: Mapping[str, Sequence[np.ndarray]]) -> list[tuple[str, np.ndarray]]:
    return [(name, picture) for name in sorted(classes) for picture in classes[name]]


def write_folder(root: Path, found: Pictures) -> dict[str, str]:
    """One file per picture, in a folder per class."""
    for part, classes in found.items():
        for name, drawn in classes.items():
            (root / part / name).mkdir(parents=True, exist_ok=True)
            for number, picture in enumerate(drawn):
                (root / part / name / f"{number:03d}.png").write_bytes(png(picture))
    return {"name": "folder", "root": str(root)}


def write_npz(root: Path, found: Pictures) -> dict[str, str]:
    """All in one file of arrays."""
    root.mkdir(parents=True, exist_ok=True)
    names = sorted({name for classes in found.values() for name in classes})
    arrays: dict[str, np.ndarray] = {"class_names": np.array(names)}
    for part, classes in found.items():
        prefix = f"{part}_" if part else ""
        rows = _rows(classes)
        arrays[f"{prefix}images"] = np.stack([picture for _, picture in rows])
        arrays[f"{prefix}labels"] = np.array([names.index(name) for name, _ in rows])
    np.savez(root / "set.npz", **arrays)  # type: ignore[arg-type]
    return {"name": "npz", "root": str(root / "set.npz")}


def write_parquet(root: Path, found: Pictures) -> dict[str, str]:
    """Files as `datasets` writes them, two for each part, in several row groups."""
    (root / "data").mkdir(parents=True, exist_ok=True)
    names = sorted({name for classes in found.values() for name in classes})
    features = {
        "image": {"_type": "Image"},
        "label": {"names": names, "_type": "ClassLabel"},
    }
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    for part, classes in found.items():
        rows = _rows(classes)
        for shard, some in enumerate((rows[: len(rows) // 2], rows[len(rows) // 2 :])):
            images = [{"bytes": png(p), "path": f"{n}.png"} for n, (_, p) in enumerate(some)]
            table = pa.table(
                {"image": images, "label": [names.index(name) for name, _ in some]}
            ).replace_schema_metadata(metadata)
            path = root / "data" / f"{part or 'all'}-{shard:05d}-of-00002.parquet"
            pq.write_table(table, path, row_group_size=3)
    return {"name": "parquet", "root": str(root)}


def write_webdataset(root: Path, found: Pictures) -> dict[str, str]:
    """Tar files of pictures and labels, two for each part."""
    root.mkdir(parents=True, exist_ok=True)
    for part, classes in found.items():
        rows = _rows(classes)
        for shard, some in enumerate((rows[: len(rows) // 2], rows[len(rows) // 2 :])):
            with tarfile.open(root / f"{part or 'all'}-{shard:06d}.tar", "w") as archive:
                for number, (name, picture) in enumerate(some):
                    add(archive, f"{number:04d}.png", png(picture))
                    add(archive, f"{number:04d}.cls", name.encode())
    return {"name": "webdataset", "root": str(root)}


def write_own(root: Path, found: Pictures) -> dict[str, str]:
    """A module, and the arrays that it reads; the module's folder must be on the path."""
    arrays = write_npz(root, found)
    (root / "my_pictures.py").write_text(OWN)
    return {"name": "my_pictures:make", "root": arrays["root"]}


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a file to an archive."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


WRITERS: dict[str, Callable[[Path, Pictures], dict[str, str]]] = {
    "npz": write_npz,
    "parquet": write_parquet,
    "webdataset": write_webdataset,
    "own": write_own,
}
