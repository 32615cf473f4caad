"""Labels as a source has them, whole numbers or names, as indices into class names."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from mlgsearch.errors import DataError
from mlgsearch.train.data.sources.listing import PARTS, TRAIN


def index_labels(
    where: str, found: Mapping[int, np.ndarray], names: Sequence[str] | None = None
) -> tuple[tuple[str, ...], Tensor]:
    """Return the class names, in order, and the labels of all parts one after another.

    Classes are those of the training part: whole numbers in their own order, names sorted. A number
    is called by ``names`` where the source has names for them.

    Args:
        where: names the source, for messages.
        found: labels by part, each (N,): whole numbers or text.
        names: of the classes 0, 1, ...

    Raises:
        DataError: labels are of another type or have no name; the training part has fewer than two
            classes; or another part has a class that it has not.
    """
    labels = {part: _checked(where, values, names) for part, values in found.items()}
    if len({values.dtype.kind for values in labels.values()}) > 1:
        raise DataError(f"{where}: labels are numbers in one part and names in another")
    classes = np.unique(labels[TRAIN])
    for part, values in labels.items():
        unknown = np.setdiff1d(values, classes)
        if len(unknown):
            raise DataError(
                f"{where}: the {PARTS[part]} part has the class {_name(unknown[0], names)!r}, "
                "which the training part does not have: all classes must be for training"
            )
    if len(classes) < 2:
        raise DataError(
            f"{where}: all images for training are of one class, "
            f"{', '.join(repr(_name(c, names)) for c in classes) or 'there are none'}; "
            "classification needs at least two"
        )
    indices = np.searchsorted(classes, np.concatenate(list(labels.values())))
    return tuple(_name(c, names) for c in classes), torch.from_numpy(indices.astype(np.int64))


def _checked(where: str, values: np.ndarray, names: Sequence[str] | None) -> np.ndarray:
    if values.ndim == 2 and values.shape[1] == 1:  # a column, as MedMNIST has them
        values = values[:, 0]
    if values.ndim != 1 or values.dtype.kind not in "iubUS":
        raise DataError(
            f"{where}: labels must be whole numbers or names, one per image; they are "
            f"{values.dtype} of shape {values.shape}"
        )
    if values.dtype.kind in "US":
        return values.astype(str)
    numbers = values.astype(np.int64)
    if names is not None and len(numbers) and not 0 <= numbers.min() <= numbers.max() < len(names):
        outside = numbers[(numbers < 0) | (numbers >= len(names))][0]
        raise DataError(
            f"{where}: the label {outside} has no name; there are names for 0 to {len(names) - 1}"
        )
    return numbers


def _name(value: object, names: Sequence[str] | None) -> str:
    return names[int(value)] if names is not None and isinstance(value, np.integer) else str(value)
