"""Images that are in a set more than once, byte for byte."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def first_copies(digests: Sequence[bytes]) -> Tensor:
    """Return for each digest the position of the first that equals it: its own, mostly."""
    first: dict[bytes, int] = {}
    return torch.tensor(
        [first.setdefault(digest, place) for place, digest in enumerate(digests)],
        dtype=torch.int64,
    )


def describe_copies(
    copy_of: Tensor, labels: Tensor, parts: Sequence[Tensor], name: Callable[[int], str]
) -> tuple[list[str], str | None]:
    """Describe copies for the user.

    Args:
        copy_of: what `first_copies` returned, (N,).
        labels: (N,).
        parts: the positions for training, validation and test.
        name: names the image at a position.

    Returns:
        Sentences on copies that are worth a look; and one on images that are for training and in
        the test part, or None where there are none.
    """
    copies = (copy_of != torch.arange(len(copy_of))).nonzero().flatten()
    if len(copies) == 0:
        return [], None
    first = int(copies[0])
    said = [
        f"{len(copies)} images are copies of others, byte for byte "
        f"(first: {name(first)} = {name(int(copy_of[first]))})"
    ]
    other = copies[labels[copies] != labels[copy_of[copies]]]
    if len(other):
        first = int(other[0])
        said.append(
            f"{len(other)} images are in two classes "
            f"(first: {name(first)} = {name(int(copy_of[first]))})"
        )
    train, validation, test = parts
    if judged := _shared(copy_of, train, validation):
        count, pair = judged
        said.append(
            f"{count} validation images are also in the training part "
            f"(first: {name(pair[0])} = {name(pair[1])}): accuracy is overrated"
        )
    leak = _shared(copy_of, train, test)
    if leak is None:
        return said, None
    count, pair = leak
    return said, (
        f"{count} test images are also in the training part "
        f"(first: {name(pair[0])} = {name(pair[1])})"
    )


def _shared(copy_of: Tensor, train: Tensor, other: Tensor) -> tuple[int, tuple[int, int]] | None:
    """Return how many of ``other`` are in ``train`` too, and the first pair (other, train)."""
    found = other[torch.isin(copy_of[other], copy_of[train])]
    if len(found) == 0:
        return None
    first = int(found[0])
    return len(found), (first, int(train[copy_of[train] == copy_of[first]][0]))
