"""scikit-learn's handwritten digits: the set that is always there, offline."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from mlgsearch.train.data.images import Arrays, LabelledImages
from mlgsearch.train.spec import DataSpec


def read_digits(spec: DataSpec) -> Arrays:
    """Return 1,797 digits of one channel, 8x8 in 17 grey levels, spread to 0..255."""
    table = np.loadtxt(_file(), delimiter=",", dtype=np.int64)  # (N, 64 pixels and the digit)
    pixels = np.rint(table[:, :-1] * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    return Arrays(
        LabelledImages(
            torch.from_numpy(pixels),
            torch.from_numpy(table[:, -1].copy()),
            tuple(str(digit) for digit in range(10)),
        )
    )


def _file() -> Path:
    """Return the file that `sklearn.datasets.load_digits` reads.

    Importing scikit-learn for that takes 1 s of processor time in every driver.
    """
    package = find_spec("sklearn")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
