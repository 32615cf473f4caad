import os
import shutil
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
    first = load(root).pixels.clone()
    (cached,) = (root.parent / "cache" / "data").glob("pixels-*")
    content = bytearray(cached.read_bytes())
    content[-5] ^= 1
    cached.write_bytes(content)
    assert torch.equal(load(root).pixels, first)
    assert "decoding the images again" in caplog.text


def test_mixed_sizes_need_image_size(root: Path) -> None:
    Image.new("RGB", (9, 9)).save(root / "dog" / "9.png")
    with pytest.raises(DataError, match=r"9\.png is 9x9 and others are 6x5.*data\.image_size"):
        load(root)
    assert load(root, image_size=4).pixels.shape == (9, 3, 4, 4)


def test_a_broken_image_is_named(root: Path) -> None:
    (root / "dog" / "1.png").write_bytes(b"not a picture")
    with pytest.raises(DataError, match=r"1\.png: no format that Pillow knows"):
        load(root)


def test_a_cut_image_is_named(root: Path) -> None:
    path = root / "dog" / "1.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match=r"1\.png: \w+"):
        load(root)


def test_all_that_cannot_be_read_is_named_or_left_out(root: Path) -> None:
    (root / "dog" / "1.png").write_bytes(b"not a picture")
    (root / "cat" / "2.png").write_bytes(b"")
    Image.new("1", (10_000, 10_000)).save(root / "cat" / "large.png")
    Image.new("1", (20_000, 20_000)).save(root / "cat" / "larger.png")
    Image.fromarray(np.full((6, 5), 300, np.int32)).save(root / "dog" / "wide.tif")
    (root / "cat" / "link.png").symlink_to("/nowhere/1.png")
    (root / "cat" / "loop.png").symlink_to(root / "cat" / "loop.png")
    os.mkfifo(root / "cat" / "pipe.png")
    with pytest.raises(DataError) as refused:
        load(root)
    head, *lines, advice = str(refused.value).splitlines()
    assert head == "data: 8 images cannot be read:"
    assert {line.strip().removeprefix(f"{root}/").split(" of ")[0] for line in lines} == {
        "dog/1.png: no format that Pillow knows",
        "cat/2.png: no format that Pillow knows",
        "cat/large.png: more pixels than Pillow's limit, 89,478,485",
        "cat/larger.png: more pixels than Pillow's limit, 89,478,485",
        "dog/wide.tif: it has 32-bit whole numbers, whose range is not known: save it with 8 or "
        "16 bits",
        "cat/link.png: a link to nothing",
        "cat/loop.png: Too many levels",
        "cat/pipe.png: no file",
    }
    assert advice == "replace them, take them out, or write data.unreadable: skip"
    whole = load(root, unreadable="skip")
    again = load(root, unreadable="skip")
    for images in (whole, again):
        assert images.pixels.shape == (6, 3, 6, 5)
        assert images.labels.tolist() == [0] * 3 + [1] * 3
        assert [Path(name).name for name in images.names[:3]] == ["0.png", "1.png", "3.png"]
        assert images.notices[-1].startswith("left out: 8 images cannot be read:\n")
    with pytest.raises(DataError, match="8 images cannot be read"):
        load(root)


def test_a_set_that_cannot_be_read_at_all_is_refused(root: Path) -> None:
    for path in root.rglob("*.png"):
        path.write_bytes(b"no")
    with pytest.raises(DataError, match="none of 8 images can be read"):
        load(root, unreadable="skip")


@pytest.mark.parametrize("path", [".git/1.png", "__MACOSX/cat/1.png", "cat/@eaDir/1.png"])
@pytest.mark.parametrize("is_empty", [False, True])
def test_hidden_folders_are_left_out(root: Path, path: str, is_empty: bool) -> None:
    (root / path).parent.mkdir(parents=True)
    if not is_empty:
        shutil.copy(root / "dog" / "1.png", root / path)
    images = load(root)
    assert images.class_names == ("cat", "dog")
    assert len(images.labels) == 8
    hidden = Path(path).parts[0] if path[0] in "._" else "cat/@eaDir"
    assert images.notices[-1].endswith(f"1 hidden entries are left out (first: {hidden})")


def test_hidden_files_are_left_out(root: Path) -> None:
    (root / "cat" / "._1.png").write_bytes(b"\0\5\x16\7")
    (root / "cat" / ".DS_Store").write_bytes(b"")
    images = load(root)
    assert len(images.labels) == 8
    assert "1 hidden entries are left out (first: cat/._1.png)" in images.notices[-1]


def test_other_endings_are_counted(root: Path) -> None:
    for number in range(10):
        (root / "dog" / f"{number}.HEIC").write_bytes(b"")
    (root / "dog" / "README").write_text("")
    (said,) = load(root).notices
    assert said == f"{root}: 12 files are not images: .heic 10, .txt 1, no ending 1"
    (root / "eel").mkdir()
    with pytest.raises(DataError, match=r"no images in 'eel' \(12 files are not images: .heic 10"):
        load(root)


def test_links_to_folders_are_followed_but_not_in_circles(root: Path) -> None:
    shutil.move(root / "dog", root.parent / "elsewhere")
    (root / "dog").symlink_to(root.parent / "elsewhere")
    (root / "cat" / "again").symlink_to(root / "cat")
    (root / "cat" / "deep" / "up").symlink_to(root / "cat")
    images = load(root)
    assert len(images.labels) == 8
    assert "2 links to a folder that they are in are left out" in images.notices[-1]
    assert "(first: cat/again)" in images.notices[-1]


def test_names_that_are_no_text(root: Path) -> None:
    for path in (root / "cat" / "1.png", root / "dog"):
        path.rename(path.with_name("caf\udce9" + path.suffix))  # the byte E9
    images = load_images(DataSpec(name="folder", root=str(root)), root.parent)
    assert len(images.labels) == 8
    assert images.class_names == ("caf\udce9", "cat")


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
