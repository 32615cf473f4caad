import numpy as np
from sklearn.datasets import load_digits

from mlgsearch.train.data.sources.digits import read_digits
from mlgsearch.train.spec import DataSpec


def test_they_are_those_of_scikit_learn() -> None:
    images = read_digits(DataSpec()).images
    expected = load_digits()
    assert np.array_equal(images.pixels[:, 0].numpy(), np.rint(expected.images * (255 / 16)))
    assert np.array_equal(images.labels.numpy(), expected.target)
    assert images.class_names == tuple(map(str, expected.target_names))
