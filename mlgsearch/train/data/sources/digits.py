"""scikit-learn's handwritten digits: the set that is always there, offline."""

import numpy as np
import torch
from sklearn.datasets import load_digits

from mlgsearch.train.data.images import Arrays, LabelledImages
from mlgsearch.train.spec import DataSpec


def read_digits(spec: DataSpec) -> Arrays:
    """Return 1,797 digits of one channel, 8x8 in 17 grey levels, spread to 0..255."""
    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)[:, None]  # (N, 1, 8, 8)
    return Arrays(
        LabelledImages(
            torch.from_numpy(pixels),
            torch.from_numpy(digits.target.astype(np.int64)),
            tuple(str(name) for name in digits.target_names),
        )
    )
