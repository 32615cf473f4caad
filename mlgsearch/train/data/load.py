"""A study's data by name, in memory and split."""

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import functional

from mlgsearch.errors import DataError
from mlgsearch.train.data.folder import load_folder
from mlgsearch.train.data.images import Images, LabelledImages, blocks, channel_statistics
from mlgsearch.train.data.randomness import Purpose, permutation
from mlgsearch.train.data.split import stratified_split
from mlgsearch.train.data.torchvision_sets import load_torchvision
from mlgsearch.train.spec import DataSpec


def load_images(spec: DataSpec, cache: Path) -> Images:
    """Load and split the data a study names; equal specs on equal files give equal tensors.

    ``cache`` is the directory for decoded images (``folder`` only). ``limit`` holds for the
    training side of a set that ships its own test part, and for all images otherwise.

    Raises:
        DataError: the data are missing, damaged, or too few to split.
    """
    whole, own_test = _load_source(spec, cache)
    if spec.limit is not None and spec.limit < len(whole.labels):
        kept = permutation(Purpose.SPLIT, spec.split_seed, 1, len(whole.labels))[: spec.limit]
        kept = kept.sort().values
        whole = LabelledImages(whole.pixels[kept], whole.labels[kept], whole.class_names)
    fractions: tuple[float, ...] = (spec.validation_fraction, spec.test_fraction)
    parts = stratified_split(
        whole.labels,
        whole.class_names,
        fractions if own_test is None else fractions[:1],
        spec.split_seed,
    )
    pixels, labels = whole.pixels, whole.labels
    if own_test is not None:
        parts.append(torch.arange(len(labels), len(labels) + len(own_test.labels)))
        pixels = torch.cat([pixels, own_test.pixels])
        labels = torch.cat([labels, own_test.labels])
    train, validation, test = parts
    mean, std = channel_statistics(pixels, train)
    hashes = [source.content_hash for source in (whole, own_test) if source is not None]
    return Images(
        pixels=pixels,
        labels=labels,
        class_names=whole.class_names,
        train=train,
        validation=validation,
        test=test,
        mean=mean,
        std=std,
        data_hash=_data_hash(hashes, parts),
    )


def _load_source(spec: DataSpec, cache: Path) -> tuple[LabelledImages, LabelledImages | None]:
    """Give all images of a set, and its own test part where it ships one."""
    if spec.name == "digits":
        return _resized(_load_digits(), spec.image_size), None
    assert spec.root is not None, "DataSpec lets no other set go without a root"
    root = Path(spec.root).expanduser()
    if spec.name == "folder":
        images = load_folder(root, spec.image_size, cache)
        if len(images.class_names) < 2:
            raise DataError(
                f"data.root: {root} holds one class directory, {images.class_names[0]!r}; "
                "classification needs at least two (write the folder one level further in?)"
            )
        return images, None
    train, test = load_torchvision(spec.name, root, download=spec.download)
    return _resized(train, spec.image_size), _resized(test, spec.image_size)


def _load_digits() -> LabelledImages:
    """Give scikit-learn's 1,797 handwritten digits, 8x8 in 17 grey levels, spread to 0..255."""
    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)[:, None]  # (N, 1, 8, 8)
    return LabelledImages(
        torch.from_numpy(pixels),
        torch.from_numpy(digits.target.astype(np.int64)),
        tuple(str(name) for name in digits.target_names),
    )


def _resized(images: LabelledImages, size: int | None) -> LabelledImages:
    """Bring square images to ``size`` by antialiased bilinear interpolation."""
    if size is None or images.pixels.shape[2:] == (size, size):
        return images

    def resize(pixels: Tensor) -> Tensor:  # (n, C, H, W) uint8
        scaled = functional.interpolate(
            pixels.float(), size=(size, size), mode="bilinear", antialias=True
        )
        return scaled.round().clamp(0, 255).to(torch.uint8)

    every = torch.arange(len(images.labels))
    pixels = torch.cat([resize(images.pixels[part]) for part in blocks(every)])
    return LabelledImages(pixels, images.labels, images.class_names)


def _data_hash(content_hashes: list[str], parts: list[Tensor]) -> str:
    digest = hashlib.sha256(json.dumps(content_hashes).encode())
    for part in parts:
        digest.update(part.numpy().data)
        digest.update(b"|")
    return digest.hexdigest()
