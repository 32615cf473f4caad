import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mlgsearch.errors import DataError
from mlgsearch.train.data.images import LabelledImages
from mlgsearch.train.data.load import load_images, with_channels
from mlgsearch.train.spec import DataSpec


def test_digits_are_whole_and_normalised_on_the_training_part(tmp_path: Path) -> None:
    images = load_images(DataSpec(), tmp_path)
    assert images.pixels.shape == (1797, 1, 8, 8)
    assert images.pixels.dtype == torch.uint8
    assert (images.pixels.min().item(), images.pixels.max().item()) == (0, 255)
    assert images.class_names == tuple("0123456789")
    parts = torch.cat([images.train, images.validation, images.test])
    assert parts.sort().values.tolist() == list(range(1797))
    train = images.pixels[images.train].double() / 255
    assert images.mean.item() == pytest.approx(train.mean().item(), abs=1e-6)
    assert images.std.item() == pytest.approx(train.std(correction=0).item(), abs=1e-6)


def test_equal_specs_give_equal_data_and_the_hash_reports_others(tmp_path: Path) -> None:
    first, again = (load_images(DataSpec(limit=100), tmp_path) for _ in range(2))
    assert first.data_hash == again.data_hash
    assert torch.equal(first.pixels, again.pixels)
    assert torch.equal(first.validation, again.validation)
    others = [
        DataSpec(limit=101),
        DataSpec(limit=100, split_seed=1),
        DataSpec(limit=100, validation_fraction=0.2),
        DataSpec(limit=100, image_size=16),
    ]
    assert len({first.data_hash, *(load_images(o, tmp_path).data_hash for o in others)}) == 5


def test_limit_keeps_that_many(tmp_path: Path) -> None:
    images = load_images(DataSpec(limit=120), tmp_path)
    assert len(images.pixels) == len(images.labels) == 120
    assert len(images.train) + len(images.validation) + len(images.test) == 120


def test_a_limit_that_starves_a_class_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"raise data\.limit"):
        load_images(DataSpec(limit=12), tmp_path)


def test_digits_can_be_enlarged(tmp_path: Path) -> None:
    images = load_images(DataSpec(limit=100, image_size=16), tmp_path)
    assert images.input_shape == (1, 16, 16)
    assert images.pixels.dtype == torch.uint8


def test_a_missing_set_says_what_to_write(tmp_path: Path) -> None:
    spec = DataSpec(name="CIFAR10", root=str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"CIFAR10.*data\.download: true"):
        load_images(spec, tmp_path)


def test_a_set_with_its_own_test_part_keeps_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for prefix, count in (("train", 60), ("t10k", 20)):
        pixels = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        header = struct.pack(">IIII", 0x0803, count, 28, 28)
        for name, content in (
            (f"{prefix}-images-idx3-ubyte", header + pixels.tobytes()),
            (f"{prefix}-labels-idx1-ubyte", struct.pack(">II", 0x0801, count) + labels.tobytes()),
        ):
            (raw / name).write_bytes(content)
            (raw / f"{name}.gz").write_bytes(gzip.compress(content))
    images = load_images(DataSpec(name="MNIST", root=str(tmp_path), image_size=14), tmp_path)
    assert images.pixels.shape == (80, 1, 14, 14)
    assert images.test.tolist() == list(range(60, 80))
    assert len(images.train) + len(images.validation) == 60
    assert images.classes == 10


def test_channels_are_made_one_or_three(tmp_path: Path) -> None:
    grey = load_images(DataSpec(limit=100), tmp_path)
    colour = load_images(DataSpec(limit=100, channels=3), tmp_path)
    assert colour.input_shape == (3, 8, 8)
    assert all(torch.equal(colour.pixels[:, [c]], grey.pixels) for c in range(3))
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (3, 40, 9, 5), dtype=np.uint8)
    for name, picture in zip(["0", "1", "2", "3", "4"] * 8, range(40), strict=True):
        (tmp_path / "set" / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[:, picture].transpose(1, 2, 0)).save(
            tmp_path / "set" / name / f"{picture}.png"
        )
    spec = DataSpec(name="folder", root=str(tmp_path / "set"))
    as_colour = load_images(spec, tmp_path)
    as_grey = load_images(spec.model_copy(update={"channels": 1}), tmp_path)
    assert as_grey.input_shape == (1, 9, 5)
    labelled = LabelledImages(as_colour.pixels, as_colour.labels, as_colour.class_names)
    assert torch.equal(with_channels(labelled, 1).pixels, as_grey.pixels)
