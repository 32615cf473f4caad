"""The image sets that torchvision reads, as tensors."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlgsearch.errors import DataError
from mlgsearch.train.data.images import Arrays, LabelledImages
from mlgsearch.train.light_torch import datasets
from mlgsearch.train.spec import DataSpec

_DIGIT_NAMES = tuple(str(digit) for digit in range(10))


def read_torchvision(spec: DataSpec) -> Arrays:
    """Read a set's train part and its own test part; fetch it only where ``download`` is true.

    Raises:
        DataError: the set is not under ``root``, or cannot be fetched.
    """
    assert spec.root is not None, "DataSpec lets no such set go without a root"
    name, root, download = spec.name, Path(spec.root).expanduser(), spec.download
    splits: tuple[dict[str, object], dict[str, object]] = ({"train": True}, {"train": False})
    if name == "SVHN":
        splits = ({"split": "train"}, {"split": "test"})
    constructor: Callable[..., Any] = getattr(datasets, name)
    try:
        train, test = (constructor(str(root), download=download, **split) for split in splits)
    except (RuntimeError, OSError, ValueError) as error:
        if download:
            raise DataError(
                f"data.name: {name} could not be fetched into {root}: {error}"
            ) from error
        raise DataError(
            f"data.root: {root} does not hold {name} as torchvision lays it out ({error}); set "
            "data.download: true, or put the files where torchvision expects them under data.root"
        ) from error
    return Arrays(_as_images(train), _as_images(test))


def _as_images(dataset: Any) -> LabelledImages:
    """Return the arrays a torchvision set holds, in one layout."""
    labels = dataset.labels if hasattr(dataset, "labels") else dataset.targets
    return LabelledImages(
        _as_nchw(np.asarray(dataset.data)),
        torch.from_numpy(np.asarray(labels).astype(np.int64)),
        tuple(getattr(dataset, "classes", _DIGIT_NAMES)),
    )


def _as_nchw(array: np.ndarray) -> Tensor:
    """Bring (N, H, W), (N, H, W, 3) or (N, 3, H, W) to a contiguous (N, C, H, W) uint8 tensor."""
    if array.ndim == 3:
        array = array[:, None]
    elif array.shape[1] != 3:
        array = array.transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.uint8))
