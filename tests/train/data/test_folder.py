import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mlgsearch.errors import DataError
from mlgsearch.train.data.load import load_images
from mlgsearch.train.spec import DataSpec
from tests.train.data.pictures import load


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes of four 6x5 pictures (height 6, width 5), one of them grey."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "set" / name / "deep").mkdir(parents=True)
        for number in range(4):
            pixels = rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)
            folder = tmp_path / "set" / name / ("deep" if number == 3 else "")
            Image.fromarray(pixels).save(folder / f"{number}.png")
    Image.fromarray(np.full((6, 5), 9, np.uint8)).save(tmp_path / "set" / "cat" / "0.png")
    (tmp_path / "set" / "cat" / "notes.txt").write_text("not an image")
    return tmp_path / "set"


def test_reads_a_tree_sorted_as_rgb(root: Path) -> None:
    images = load(root)
    assert images.pixels.shape == (8, 3, 6, 5)
    assert images.labels.tolist() == [0] * 4 + [1] * 4
    assert images.class_names == ("cat", "dog")
    assert (images.pixels[0] == 9).all()
    expected = np.asarray(Image.open(root / "dog" / "1.png"))
    assert np.array_equal(images.pixels[5].permute(1, 2, 0).numpy(), expected)


def test_the_cache_serves_until_a_file_changes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load(root)
    with monkeypatch.context() as patch:
        patch.setattr(Image, "open", None)
        again = load(root)
    assert torch.equal(again.pixels, first.pixels)
    assert torch.equal(again.labels, first.labels)
    assert again.content_hash == first.content_hash
    path = root / "dog" / "1.png"
    Image.fromarray(np.zeros((6, 5, 3), np.uint8)).save(path)
    os.utime(path, ns=(0, 0))
    changed = load(root)
    assert (changed.pixels[5] == 0).all()
    assert changed.content_hash != first.content_hash


def test_a_damaged_cache_is_made_again(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = load(root)
    (cached,) = (root.parent / "cache" / "data").iterdir()
    content = bytearray(cached.read_bytes())
    content[-5] ^= 1
    cached.write_bytes(content)
    assert torch.equal(load(root).pixels, first.pixels)
    assert "decoding the images again" in caplog.text


def test_mixed_sizes_need_image_size(root: Path) -> None:
    Image.new("RGB", (9, 9)).save(root / "dog" / "9.png")
    with pytest.raises(DataError, match=r"9\.png is 9x9 and .*cat/0\.png is 6x5.*data\.image_size"):
        load(root)
    assert load(root, image_size=4).pixels.shape == (9, 3, 4, 4)


def test_a_broken_image_is_named(root: Path) -> None:
    (root / "dog" / "1.png").write_bytes(b"not a picture")
    with pytest.raises(DataError, match=r"1\.png is not a readable image"):
        load(root)


def test_a_cut_image_is_named(root: Path) -> None:
    path = root / "dog" / "1.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match=r"1\.png is not a readable image"):
        load(root)


def test_a_missing_root(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere does not exist; write the folder"):
        load(tmp_path / "nowhere")


def test_a_root_without_classes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no class directories"):
        load(tmp_path)


def test_an_empty_class(root: Path) -> None:
    (root / "eel").mkdir()
    with pytest.raises(DataError, match="no images in 'eel'"):
        load(root)


def test_a_file_for_a_root(root: Path) -> None:
    with pytest.raises(DataError, match=r"0\.png cannot be read"):
        load(root / "cat" / "0.png")


def test_one_class_cannot_be_learnt(root: Path) -> None:
    for path in (root / "dog" / "deep" / "3.png", *(root / "dog").glob("*.png")):
        path.unlink()
    (root / "dog" / "deep").rmdir()
    (root / "dog").rmdir()
    with pytest.raises(DataError, match="one class directory, 'cat'"):
        load_images(DataSpec(name="folder", root=str(root)), root.parent)


def test_more_than_memory_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Little:
        available = 100

    monkeypatch.setattr("psutil.virtual_memory", Little)
    with pytest.raises(DataError, match=r"smaller data\.image_size"):
        load(root)
