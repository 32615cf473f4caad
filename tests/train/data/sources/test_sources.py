"""Every other source of images: one suite that all pass, and what each refuses."""

import sys
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from torch.utils.data import ConcatDataset, Dataset, Subset, TensorDataset

from mlgsearch.errors import DataError
from mlgsearch.train.data.images import Images
from mlgsearch.train.data.sources.own_set import known_labels
from mlgsearch.train.own_code import OwnCodeError
from mlgsearch.train.spec import DataSpec
from tests.train.data.pictures import load_set, sizes
from tests.train.data.writers import (
    WRITERS,
    add,
    pictures,
    png,
    write_folder,
    write_npz,
    write_own,
    write_parquet,
    write_webdataset,
)

KINDS = sorted(WRITERS)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder that modules are found in."""
    folder = tmp_path / "set"
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delitem(sys.modules, "my_pictures", raising=False)
    return folder


def images(folder: Path, **keys: object) -> Images:
    return load_set(folder.parent / "cache", **keys)


@pytest.mark.parametrize("kind", KINDS)
def test_a_set_is_what_it_is_as_a_folder(folder: Path, tmp_path: Path, kind: str) -> None:
    drawn = {"": pictures(a=14, b=9, c=11)}
    expected = images(folder, **write_folder(tmp_path / "files", drawn), image_size=8)
    found = images(folder, **WRITERS[kind](folder, drawn), image_size=8)
    assert found.class_names == ("a", "b", "c")
    assert torch.equal(found.pixels, expected.pixels)
    assert torch.equal(found.labels, expected.labels)
    assert found.data_hash == expected.data_hash
    assert (found.notices, found.input_shape) == ((), (3, 8, 8))


@pytest.mark.parametrize("kind", KINDS)
def test_parts_are_known_by_their_names(folder: Path, tmp_path: Path, kind: str) -> None:
    drawn = {
        "train": pictures(1, a=12, b=10),
        "test": pictures(2, a=4, b=5),
        "val": pictures(3, a=4, b=4),
    }
    expected = images(folder, **write_folder(tmp_path / "files", drawn))
    found = images(folder, **WRITERS[kind](folder, drawn))
    assert sizes(found) == sizes(expected) == (22, 8, 9)
    assert found.data_hash == expected.data_hash
    limited = images(folder, **WRITERS[kind](folder, drawn), limit=10)
    assert sizes(limited) == (10, 8, 9)


@pytest.mark.parametrize("kind", KINDS)
def test_the_cache_serves_until_the_source_changes(
    folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = {"": pictures(a=8, b=8)}
    keys = WRITERS[kind](folder, drawn)
    first = images(folder, **keys)
    with monkeypatch.context() as patch:
        patch.setattr("mlgsearch.train.data.decode._decode", None)
        assert images(folder, **keys).data_hash == first.data_hash
    drawn[""]["a"][0] = 255 - drawn[""]["a"][0]
    WRITERS[kind](folder, drawn)
    changed = images(folder, **keys)
    assert changed.data_hash != first.data_hash
    assert torch.equal(changed.pixels[0], 255 - first.pixels[0])


@pytest.mark.parametrize("kind", KINDS)
def test_images_for_training_and_test_are_refused(folder: Path, kind: str) -> None:
    drawn = {"train": pictures(1, a=8, b=8), "test": pictures(2, a=4, b=4)}
    drawn["test"]["b"][2] = drawn["train"]["b"][3]
    keys = WRITERS[kind](folder, drawn)
    with pytest.raises(DataError, match=r"1 test images are also in the training part \(first: "):
        images(folder, **keys)
    said = images(folder, **keys, shared_images="accept").notices
    assert any("what `verify` reads is overrated" in text for text in said)


@pytest.mark.parametrize("kind", KINDS)
def test_classes_are_those_for_training(folder: Path, kind: str) -> None:
    drawn = {"train": pictures(1, a=8, b=8), "test": pictures(2, a=4, z=4)}
    with pytest.raises(DataError, match=r"the test part has the class 'z', which the training"):
        images(folder, **WRITERS[kind](folder, drawn))
    with pytest.raises(DataError, match=r"of one class, 'a'; classification needs at least two"):
        images(folder, **WRITERS[kind](folder / "one", {"": pictures(a=12)}))


@pytest.mark.parametrize("kind", ["npz", "parquet", "webdataset"])
def test_files_that_are_not_there(folder: Path, kind: str) -> None:
    suffix = {"webdataset": "tar"}.get(kind, kind)
    with pytest.raises(DataError, match=r"data\.root: .*nowhere cannot be read: No such file"):
        images(folder, name=kind, root=str(folder / "nowhere"))
    folder.mkdir()
    with pytest.raises(DataError, match=rf"data\.root: .* holds no \.{suffix} files"):
        images(folder, name=kind, root=str(folder))
    (folder / f"bad.{suffix}").write_bytes(b"no such thing" * 100)
    with pytest.raises(DataError, match=rf"bad\.{suffix} cannot be read as") as caught:
        images(folder, name=kind, root=str(folder))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["npz", "parquet", "webdataset"])
def test_parts_may_be_named(folder: Path, kind: str) -> None:
    for part, seed, count in (("mine", 1, 10), ("other", 2, 5)):
        WRITERS[kind](folder / part, {"": pictures(seed, a=count, b=count)})
    named = {"train": "mine", "test": "other", "validation": "0.2 of train"}
    found = images(folder, name=kind, root=str(folder), **named)
    assert sizes(found) == (16, 4, 10)
    (folder / "train").mkdir()
    (folder / "mine").rename(folder / "train" / "mine")
    with pytest.raises(DataError, match=r"other/.* is not; name the parts: data\.train"):
        images(folder, name=kind, root=str(folder))


def test_a_label_column_is_for_parquet() -> None:
    with pytest.raises(ValidationError, match=r"data\.label_column needs data\.name: parquet"):
        DataSpec(name="npz", root="x", label_column="fine")


# Values


def grey(values: np.ndarray) -> np.ndarray:
    return np.stack([values] * 12)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (grey(np.full((6, 6), 0x8080, np.uint16)), 128),
        (grey(np.full((6, 6), 0.5, np.float32)), 128),
        (grey(np.full((6, 6), 1.0, np.float64)), 255),
        (grey(np.ones((6, 6), bool)), 255),
        (np.full((12, 6, 6, 1), 7, np.uint8), 7),
        (np.full((12, 3, 6, 6), 7, np.uint8), 7),  # channels first
        (np.full((12, 6, 6, 3), 7, np.uint8), 7),
        (np.zeros((12, 6, 6, 4), np.uint8), 255),  # transparent: what is beneath
        (np.full((12, 6, 6, 3), 0xFFFF, np.uint16), 255),
        (np.asfortranarray(np.full((12, 6, 6), 9, np.uint8)), 9),
    ],
)
@pytest.mark.parametrize("is_compressed", [False, True])
def test_arrays_are_scaled_by_their_type(
    folder: Path, values: np.ndarray, expected: int, is_compressed: bool
) -> None:
    folder.mkdir()
    save = np.savez_compressed if is_compressed else np.savez
    save(folder / "a.npz", images=values, labels=np.arange(12) % 2)
    found = images(folder, name="npz", root=str(folder))
    assert found.pixels.shape == (12, 3, 6, 6)
    assert set(found.pixels.flatten().tolist()) == {expected}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((12, 6, 6), np.int64), "type int64, whose range is not known"),
        (np.full((12, 6, 6), 2.0), "floating-point values from 2 to 2, of unknown range"),
        (np.full((12, 6, 6), np.nan), "floating-point values from nan to nan"),
    ],
)
def test_ambiguous_values_cannot_be_read(folder: Path, values: np.ndarray, message: str) -> None:
    folder.mkdir()
    np.savez(folder / "a.npz", images=values, labels=np.arange(12) % 2)
    with pytest.raises(DataError, match=rf"none of 12 images .*a\.npz: image 0: it has.*{message}"):
        images(folder, name="npz", root=str(folder))


def test_one_image_of_unknown_range_is_named_or_left_out(folder: Path) -> None:
    folder.mkdir()
    values = np.random.default_rng(0).random((24, 6, 6))
    values[5] *= 9
    np.savez(folder / "a.npz", images=values, labels=np.arange(24) % 2)
    keys = {"name": "npz", "root": str(folder / "a.npz")}
    with pytest.raises(DataError, match=r"1 images cannot be read:\n.*a\.npz: image 5: it has"):
        images(folder, **keys)
    assert len(images(folder, **keys, unreadable="skip").labels) == 23


# What each kind refuses


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros(3)}, "must hold the arrays images and labels, .* it holds x"),
        ({"images": np.zeros((4, 5)), "labels": np.arange(4)}, r"shape \(4, 5\) are not"),
        ({"images": np.zeros((4, 5, 5)), "labels": np.arange(3)}, "4 images and 3 labels"),
        ({"images": np.zeros((4, 5, 5)), "labels": np.arange(4) / 2}, "labels must be whole"),
        (
            {"images": np.zeros((4, 5, 5)), "labels": np.arange(4), "class_names": ["a", "b"]},
            "the label 2 has no name; there are names for 0 to 1",
        ),
        ({"images": np.array([{}], object), "labels": np.arange(1)}, "cannot be read as .npz: "),
        ({"images": np.zeros((4, 5, 5)), "labels": np.array([{}], object)}, "cannot be read as"),
    ],
)
def test_arrays_that_are_no_set(folder: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    folder.mkdir()
    np.savez(folder / "a.npz", allow_pickle=True, **arrays)
    with pytest.raises(DataError, match=message):
        images(folder, name="npz", root=str(folder))


def test_one_npz_per_part(folder: Path) -> None:
    for part, seed in (("train", 1), ("test", 2)):
        write_npz(folder / part, {"": pictures(seed, a=10, b=10)})
    assert sizes(images(folder, name="npz", root=str(folder))) == (16, 4, 20)


def parquet(path: Path, **columns: object) -> Path:
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def test_columns_of_parquet(folder: Path) -> None:
    encoded = [png(p) for p in pictures(a=12)["a"]]
    fine, coarse = [n % 3 for n in range(12)], ["x", "y"] * 6
    path = parquet(folder / "a.parquet", img=encoded, fine_label=fine, coarse=coarse)
    with pytest.raises(DataError, match=r"has none for labels; name one .*img, fine_label, coarse"):
        images(folder, name="parquet", root=str(path))
    with pytest.raises(DataError, match=r"no column 'course'; it has img, fine_label, coarse"):
        images(folder, name="parquet", root=str(path), label_column="course")
    found = images(folder, name="parquet", root=str(path), label_column="fine_label")
    assert found.class_names == ("0", "1", "2")
    found = images(folder, name="parquet", root=str(path), label_column="coarse")
    assert found.class_names == ("x", "y")
    path = parquet(folder / "b.parquet", label=fine, text=coarse)
    with pytest.raises(DataError, match=r"must have one column of images.* it has none of the"):
        images(folder, name="parquet", root=str(path))
    path = parquet(folder / "c.parquet", image=encoded, label=[None, *fine[1:]])
    with pytest.raises(DataError, match="1 rows have no label"):
        images(folder, name="parquet", root=str(path))


def test_rows_without_bytes_are_unreadable(folder: Path) -> None:
    cells: list[dict[str, bytes | str | None]] = [
        {"bytes": png(p), "path": None} for p in pictures(a=12)["a"]
    ]
    cells[3] = {"bytes": None, "path": "far/away.png"}
    path = parquet(folder / "a.parquet", image=cells, label=[0, 1] * 6)
    with pytest.raises(DataError, match=r"row 3: the row holds no bytes.*'far/away\.png'"):
        images(folder, name="parquet", root=str(path))
    found = images(folder, name="parquet", root=str(path), unreadable="skip")
    assert len(found.labels) == 11


def tar(path: Path, files: dict[str, bytes]) -> Path:
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            add(archive, name, content)
    return path


def test_samples_of_a_tar_file(folder: Path) -> None:
    drawn = pictures(a=12)["a"]
    files = {f"deep/{n}.seg.png": png(p) for n, p in enumerate(drawn)}
    labels = {f"deep/{n}.cls": str(n % 11).encode() for n in range(12)}
    others = {"deep/0.json": b"{}", "deep/.hidden.png": b"", "alone.cls": b"1"}
    path = tar(folder / "a.tar", files | labels | others)
    keys = {"name": "webdataset", "root": str(path), "split_seed": 1}
    with pytest.raises(DataError, match="class '0' has 2 images"):
        images(folder, **keys)
    labels = {f"deep/{n}.cls": str(11 * (n % 2)).encode() for n in range(12)}
    tar(folder / "a.tar", files | labels | others)
    found = images(folder, **keys)
    assert found.class_names == ("0", "11")
    assert [text.split("a.tar: ")[1] for text in found.notices] == [
        "1 files are not images: .json 1",
        "1 samples without an image are left out (first: alone)",
    ]
    del labels["deep/4.cls"]
    tar(folder / "a.tar", files | labels)
    with pytest.raises(DataError, match=r"deep/4\.seg\.png has no label: a file deep/4\.cls"):
        images(folder, **keys)
    tar(folder / "a.tar", {**files, "deep/1.png": png(drawn[0])})
    with pytest.raises(DataError, match=r"two images of one sample, deep/1.seg.png and deep/1.png"):
        images(folder, **keys)


def test_a_tar_file_that_is_cut_off_or_compressed(folder: Path) -> None:
    root = Path(write_webdataset(folder, {"": pictures(side=64, a=10, b=10)})["root"])
    path = root / "all-000001.tar"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2 + 100])
    with pytest.raises(DataError, match=r"all-000001\.tar cannot be read as an uncompressed tar"):
        images(folder, name="webdataset", root=str(root))
    with tarfile.open(path, "w:gz") as archive:
        add(archive, "a.png", b"")
    with pytest.raises(DataError, match="cannot be read as an uncompressed tar file"):
        images(folder, name="webdataset", root=str(root))


# Data sets of one's own

MODULE = """\
import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

rng = np.random.default_rng(0)
PIXELS = rng.integers(0, 256, (24, 3, 6, 6), dtype=np.uint8)


class Items(Dataset):
    def __init__(self, convert):
        self.convert = convert

    def __len__(self):
        return 24

    def __getitem__(self, row):
        return self.convert(row)


def tensors():
    return Items(lambda row: (torch.from_numpy(PIXELS[row]), torch.tensor(row % 2)))


def floats():
    return Items(lambda row: (torch.from_numpy(PIXELS[row]) / 255, row % 2))


def pillow():
    return Items(lambda row: (Image.fromarray(PIXELS[row].transpose(1, 2, 0)), np.int64(row % 2)))


def mapping():
    return Items(lambda row: {"image": PIXELS[row], "label": row % 2})


def normalised():
    return Items(lambda row: (torch.from_numpy(PIXELS[row]) / 127 - 1, row % 2))


def random():
    return Items(lambda row: (np.random.default_rng().random((6, 6)), row % 2))


def raises():
    return Items(lambda row: ({}["x"], 0))


def nothing():
    return Items(lambda row: PIXELS[row])


def text():
    return Items(lambda row: ("file.png", row % 2))


def number():
    return 3


def parts():
    return {"train": pillow(), "holdout": pillow()}


def no_training():
    return {"test": pillow()}


def unreadable():
    def item(row):
        if row == 5:
            raise OSError("the disk says no")
        return PIXELS[row], row % 2

    items = Items(item)
    items.targets = [row % 2 for row in range(24)]
    return items


def unreadable_labels():
    items = unreadable()
    del items.targets
    return items
"""


@pytest.fixture
def module(folder: Path) -> Path:
    folder.mkdir()
    (folder / "my_pictures.py").write_text(MODULE)
    return folder


def test_items_of_every_type_are_the_same_images(module: Path) -> None:
    found = [
        images(module, name=f"my_pictures:{name}")
        for name in ("tensors", "floats", "pillow", "mapping")
    ]
    assert found[0].pixels.shape == (24, 3, 6, 6)
    assert len({each.data_hash for each in found}) == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("normalised", "none of 24 images can be read .*floating-point values from -"),
        ("random", "an item's image is another each time it is read; take random transforms out"),
        ("raises", r"my_pictures:raises: KeyError: 'x' \(.*my_pictures\.py:\d+\)$"),
        ("nothing", "item 0 must be an image and its label, it is ndarray"),
        ("text", "the image of item 0 is of type str; return a Pillow image, an array or"),
        ("number", r"must return a map-style data set, .* it returned int \(.*my_pictures\.py"),
        ("parts", "a mapping with the key 'holdout'; the parts are train, validation and test"),
        ("no_training", "returned no data set for training"),
        ("nowhere", "my_pictures has no callable 'nowhere', did you mean"),
        ("unreadable_labels", "item 5 cannot be read for its label: OSError: the disk says no"),
    ],
)
def test_a_data_set_that_does_not_serve(module: Path, name: str, message: str) -> None:
    with pytest.raises((OwnCodeError, DataError), match=message) as caught:
        images(module, name=f"my_pictures:{name}")
    assert "\n" not in str(caught.value)


def test_items_that_cannot_be_read_are_named_or_left_out(module: Path) -> None:
    keys = {"name": "my_pictures:unreadable"}
    with pytest.raises(DataError, match="my_pictures:unreadable: item 5: the disk says no"):
        images(module, **keys)
    assert len(images(module, **keys, unreadable="skip").labels) == 23


def test_the_source_names_what_is_cached(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images(module, name="my_pictures:pillow")
    monkeypatch.delitem(sys.modules, "my_pictures")
    (module / "my_pictures.py").write_text(MODULE + "\nLATER = 1\n")
    monkeypatch.setattr("mlgsearch.train.data.decode._decode", None)
    with pytest.raises(TypeError):
        images(module, name="my_pictures:pillow")


def test_labels_of_torchs_own_sets_are_known_without_reading_items() -> None:
    plain = TensorDataset(torch.zeros(6, 3, 4, 4), torch.arange(6))
    joined: ConcatDataset[object] = ConcatDataset([plain, Subset(plain, [5, 1])])
    labels = known_labels(joined)
    assert labels is not None
    assert [int(label) for label in labels] == [0, 1, 2, 3, 4, 5, 5, 1]
    assert known_labels(ConcatDataset([plain, Bare()])) is None


class Bare(Dataset[object]):
    """A data set whose labels are in its items alone."""

    def __len__(self) -> int:
        return 0


def test_a_root_is_handed_on(folder: Path) -> None:
    keys = write_own(folder, {"": pictures(a=9, b=9)})
    with pytest.raises(
        OwnCodeError, match="is called without arguments: missing a required argument: 'root'"
    ):
        images(folder, name=keys["name"])


def test_the_pictures_are_read_as_they_were_written(folder: Path) -> None:
    drawn = pictures(a=10, b=10)
    found = images(folder, **write_parquet(folder, {"": drawn}))
    assert np.array_equal(found.pixels[0].permute(1, 2, 0).numpy(), drawn["a"][0])
    assert isinstance(Image.fromarray(drawn["a"][0]), Image.Image)
