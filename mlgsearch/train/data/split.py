"""Which sample is for training, for validation, for the final test."""

import numpy as np
import torch
from torch import Tensor

from mlgsearch.errors import DataError
from mlgsearch.train.data.randomness import Purpose, permutation


def stratified_split(
    labels: Tensor,
    class_names: tuple[str, ...],
    fractions: tuple[float, ...],
    seed: int,
) -> list[Tensor]:
    """Draw disjoint parts class by class.

    Args:
        labels: int64, (N,).
        class_names: names, for the message.
        fractions: the share of every part but the first, which takes what is left.
        seed: the draw is a function of it and of the labels.

    Returns:
        ``1 + len(fractions)`` sorted index tensors; each holds at least one sample of each class,
        and otherwise a class's share rounded to the nearest whole sample.

    Raises:
        DataError: a class has fewer samples than there are parts.
    """
    order = permutation(Purpose.SPLIT, seed, 0, len(labels)).numpy()
    shuffled = labels.numpy()[order]
    parts: list[list[np.ndarray]] = [[] for _ in range(1 + len(fractions))]
    for number, name in enumerate(class_names):
        members = order[shuffled == number]
        if len(members) < len(parts):
            raise DataError(
                f"class {name!r} has {len(members)} images; a split into {len(parts)} parts needs "
                f"at least {len(parts)} of each class: add images, raise data.limit, or take the "
                "class out"
            )
        left = len(members)
        for part, fraction in zip(parts[1:], fractions, strict=True):
            size = min(max(1, round(fraction * len(members))), left - (len(parts) - 1))
            size = max(1, size)
            part.append(members[left - size : left])
            left -= size
        parts[0].append(members[:left])
    return [torch.from_numpy(np.sort(np.concatenate(part))) for part in parts]
