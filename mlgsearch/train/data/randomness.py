"""Random draws that are a function of (seed, epoch, sample) and of nothing else."""

from enum import IntEnum

import numpy as np
import torch
from torch import Tensor


class Purpose(IntEnum):
    """What a stream of draws is for; streams of different purposes are independent."""

    ORDER = 1
    AUGMENTATION = 2
    SPLIT = 3
    TORCH = 4
    TRANSFORMS = 5
    CUTOUT = 6


def random_words(purpose: Purpose, seed: int, epoch: int, count: int) -> np.ndarray:
    """Return ``count`` uniform 64-bit words, shape (count,), dtype uint64.

    A shorter call gives a prefix of a longer one, on every machine: the words are Philox's own
    counter-based output, not a NumPy distribution (which may change between versions).
    """
    generator = np.random.Philox(np.random.SeedSequence([int(purpose), seed, epoch]))
    return generator.random_raw(count)


def permutation(purpose: Purpose, seed: int, epoch: int, count: int) -> Tensor:
    """Return a uniform permutation of ``range(count)`` as an int64 tensor of shape (count,)."""
    words = random_words(purpose, seed, epoch, count)
    return torch.from_numpy(np.argsort(words, kind="stable"))


def seed_torch(seed: int, epoch: int) -> None:
    """Seed torch's global generators (dropout and its like) from (seed, epoch)."""
    word = int(random_words(Purpose.TORCH, seed, epoch, 1)[0])
    torch.manual_seed(word % 2**63)
