"""Sets that come in parts, and images that are in more than one of them."""

import shutil
from pathlib import Path

import pytest

from mlgsearch.errors import DataError
from mlgsearch.study.file.study_file import load_study_file
from mlgsearch.train.data.images import Images
from mlgsearch.train.data.load import load_images
from mlgsearch.train.spec import DataSpec
from tests.train.data.pictures import draw, draw_tree, load_set, sizes


def images(folder: Path, **keys: object) -> Images:
    return load_set(folder / "cache", **{"name": "folder", **keys})


@pytest.mark.parametrize("names", [("train", "val", "test"), ("training", "validation", "testing")])
def test_a_tree_of_parts_is_read_as_parts(tmp_path: Path, names: tuple[str, ...]) -> None:
    root = draw_tree(tmp_path / "set", **dict(zip(names, (30, 10, 8), strict=True)))
    found = images(tmp_path, root=str(root))
    assert found.class_names == ("a", "b")
    assert sizes(found) == (60, 20, 16)
    assert found.notices == ()


def test_a_missing_part_is_drawn_from_the_training_part(tmp_path: Path) -> None:
    root = draw_tree(tmp_path / "set", train=20, test=5)
    assert sizes(images(tmp_path, root=str(root))) == (34, 6, 10)
    assert sizes(images(tmp_path, root=str(root), validation="0.1 of train")) == (36, 4, 10)
    shutil.rmtree(root / "test")
    draw(root / "val", count=7)
    assert sizes(images(tmp_path, root=str(root), test_fraction=0.25)) == (30, 14, 10)


def test_a_limit_is_of_the_training_part(tmp_path: Path) -> None:
    root = draw_tree(tmp_path / "set", train=20, val=4, test=5)
    assert sizes(images(tmp_path, root=str(root), limit=10)) == (10, 8, 10)


def test_classes_that_are_called_as_parts_are_classes(tmp_path: Path) -> None:
    for name in ("train", "test"):  # pictures of trains, and of tests
        draw(tmp_path / "drawn", name[1], count=10)
        (tmp_path / "set").mkdir(exist_ok=True)
        shutil.copytree(tmp_path / "drawn" / name[1], tmp_path / "set" / name)
    assert images(tmp_path, root=str(tmp_path / "set")).class_names == ("test", "train")


def test_a_study_file_names_the_parts(tmp_path: Path) -> None:
    draw_tree(tmp_path / "set", mine=10, held=4)
    draw(tmp_path / "judged", count=3)
    (tmp_path / "a.yaml").write_text(
        "name: a\ndata: {name: folder, train: set/mine, validation: judged, test: set/held}\n"
    )
    spec, _ = load_study_file(tmp_path / "a.yaml")
    found = load_images(spec.data, tmp_path / "cache")
    assert sizes(found) == (20, 6, 8)
    (tmp_path / "a.yaml").write_text(
        "name: a\ndata: {name: folder, root: set, train: mine, validation: ../judged, test: held}\n"
    )
    below, _ = load_study_file(tmp_path / "a.yaml")
    assert load_images(below.data, tmp_path / "cache").data_hash == found.data_hash


def test_a_class_that_is_not_for_training_is_refused(tmp_path: Path) -> None:
    root = draw_tree(tmp_path / "set", train=10, test=4)
    draw(root / "test", "c", count=4)
    with pytest.raises(DataError, match=r"data\.test: .*test has the class 'c', which .*train"):
        images(tmp_path, root=str(root))


def test_a_class_may_miss_in_a_part_that_judges(tmp_path: Path) -> None:
    root = draw_tree(tmp_path / "set", train=10, val=4)
    draw(root / "test", "b", count=4)
    found = images(tmp_path, root=str(root))
    assert set(found.labels[found.test].tolist()) == {1}


def test_two_directories_for_one_part_are_refused(tmp_path: Path) -> None:
    root = draw_tree(tmp_path / "set", train=3, val=3, valid=3)
    with pytest.raises(DataError, match=r"both val/ and valid/; name the parts: data\.train"):
        images(tmp_path, root=str(root))


def test_an_image_in_train_and_test_is_refused_unless_accepted(tmp_path: Path) -> None:
    root = draw_tree(tmp_path / "set", train=10, val=4, test=4)
    shutil.copy(root / "train" / "a" / "3.png", root / "test" / "a" / "x.png")
    with pytest.raises(DataError) as refused:
        images(tmp_path, root=str(root))
    text = str(refused.value)
    assert text.startswith("data: 1 test images are also in the training part (first: ")
    assert "test/a/x.png = " in text
    assert text.endswith("write data.shared_images: accept")
    found = images(tmp_path, root=str(root), shared_images="accept")
    assert [text.split(" (")[0] for text in found.notices] == [
        "1 images are copies of others, byte for byte",
        "1 test images are also in the training part",
    ]


def test_copies_in_classes_and_parts_are_reported(tmp_path: Path) -> None:
    root = draw_tree(tmp_path / "set", train=10, val=4, test=4)
    shutil.copy(root / "train" / "a" / "0.png", root / "train" / "b" / "again.png")
    shutil.copy(root / "train" / "a" / "1.png", root / "val" / "a" / "again.png")
    said = images(tmp_path, root=str(root)).notices
    assert [text.split(" (")[0] for text in said] == [
        "2 images are copies of others, byte for byte",
        "1 images are in two classes",
        "1 validation images are also in the training part",
    ]
    assert "train/b/again.png = " in said[1]


def test_copies_that_a_draw_puts_into_two_parts_are_reported(tmp_path: Path) -> None:
    root = draw(tmp_path / "set", count=20)
    for number in range(20):
        shutil.copy(root / "a" / f"{number}.png", root / "a" / f"copy-{number}.png")
    said = images(tmp_path, root=str(root)).notices
    assert said[0].startswith("20 images are copies of others")
    assert "test images are also in the training part" in said[-1]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"name": "digits", "test": "x"}, "data.test needs data.name: folder"),
        ({"name": "folder", "root": "x", "test": "x"}, "data.train is needed where data.test"),
        ({"name": "folder", "root": "x", "validation": "10% of train"}, "write 0.1 of train"),
        ({"name": "folder", "root": "x", "validation": "0.95 of train"}, "write 0.1 of train"),
    ],
)
def test_what_does_not_fit_is_refused(keys: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DataSpec.model_validate(keys)


def test_keys_that_came_later_leave_hashes_alone_at_their_defaults() -> None:
    content = DataSpec().content()
    assert "train" not in content
    assert "download" not in content
    assert DataSpec(shared_images="accept").content() == {**content, "shared_images": "accept"}


def test_uneven_classes_are_reported(tmp_path: Path) -> None:
    draw(tmp_path / "set", "a", count=30)
    draw(tmp_path / "set", "b", count=10)
    root = str(tmp_path / "set")
    said = "classes are uneven: 'a' has 30 images, 'b' has 10"
    assert images(tmp_path, root=root).notices == (
        f"{said}; data.judge: balanced_accuracy counts every class alike",
    )
    judged = images(tmp_path, root=root, judge="balanced_accuracy")
    assert judged.notices == (said,)
    assert judged.judge == "balanced_accuracy"
    (tmp_path / "set" / "a" / "0.png").unlink()
    assert images(tmp_path, root=root).notices == ()
