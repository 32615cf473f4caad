"""Random crops and flips on batches, as a function of (seed, epoch, sample)."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mlgsearch.train.data.randomness import Purpose, random_words
from mlgsearch.train.spec import DataSpec


@dataclass(frozen=True)
class Augmentation:
    """What is done to a training image before the network sees it.

    ``padding`` black pixels are put on each side, a window of the image's own size is cut out at
    one of the ``(2 * padding + 1)**2`` places, and with ``flips`` it is mirrored left to right
    in every other epoch: half of the samples in the odd ones, the others in the even ones. Of two
    epochs in a row one shows each view, where tossing a coin would repeat one half of the time
    (Jordan 2024, arXiv 2404.00498, section 3.6).
    """

    padding: int
    flips: bool

    @classmethod
    def of(cls, spec: DataSpec) -> "Augmentation":
        """Return the augmentation a study file asks for; ``auto`` goes by the kind of set."""
        kind = spec.kind.augmentation if spec.augmentation == "auto" else spec.augmentation
        return cls(
            padding=0 if kind == "none" else spec.crop_padding,
            flips=kind == "crop_flip",
        )

    @property
    def is_identity(self) -> bool:
        """Whether images are left as they are in every epoch."""
        return self.padding == 0 and not self.flips

    def draw(self, seed: int, epoch: int, count: int) -> Tensor:
        """Draw for samples 0 to ``count - 1`` of an epoch: int64 rows (top, left, is mirrored).

        Row i does not depend on ``count``, nor on how samples are batched later.
        """
        words = random_words(Purpose.AUGMENTATION, seed, epoch, 3 * count).reshape(count, 3)
        places = np.uint64(2 * self.padding + 1)
        draws = words % np.array([places, places, 2], dtype=np.uint64)
        if self.flips:
            first = random_words(Purpose.AUGMENTATION, seed, 0, count)  # no epoch has the number 0
            draws[:, 2] = (first % np.uint64(2)) ^ np.uint64(epoch % 2)
        else:
            draws[:, 2] = 0
        return torch.from_numpy(draws.astype(np.int64))

    def apply(self, images: Tensor, draws: Tensor) -> Tensor:
        """Crop and mirror a batch, keeping its dtype.

        Args:
            images: (B, C, H, W).
            draws: (B, 3), the batch's rows of `draw`, on the same device.
        """
        if self.is_identity:
            return images
        count, channels, height, width = images.shape
        device = images.device
        padded = functional.pad(images, (self.padding,) * 4)
        rows = draws[:, 0, None] + torch.arange(height, device=device)  # (B, H)
        across = torch.arange(width, device=device)
        across = torch.where(draws[:, 2, None] == 1, width - 1 - across, across)  # (B, W)
        columns = draws[:, 1, None] + across  # (B, W)
        return padded[
            torch.arange(count, device=device)[:, None, None, None],
            torch.arange(channels, device=device)[:, None, None],
            rows[:, None, :, None],
            columns[:, None, None, :],
        ]  # (B, C, H, W)
