"""Random changes of training images, as a function of (seed, epoch, sample)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mlgsearch.train.data.randomness import Purpose, random_words
from mlgsearch.train.data.transforms import Transforms
from mlgsearch.train.spec import DataSpec
from mlgsearch.train.versions import library_versions

#: The value of a cutout's pixels.
_GREY = 128


@dataclass(frozen=True)
class Augmentation:
    """What is done to a training image before the network sees it.

    ``padding`` black pixels are put on each side, a window of the image's own size is cut out at
    one of the ``(2 * padding + 1)**2`` places, and with ``flips`` it is mirrored left to right
    in every other epoch: half of the samples in the odd ones, the others in the even ones. Of two
    epochs in a row one shows each view, where tossing a coin would repeat one half of the time
    (Jordan 2024, arXiv 2404.00498, section 3.6). Then come ``transforms``. Last, a grey square of
    ``cutout`` pixels on a side is put on the image, with its centre at any pixel and cut off at the
    border (DeVries and Taylor 2017, arXiv 1708.04552).
    """

    padding: int
    flips: bool
    transforms: Transforms | None = None
    cutout: int = 0

    @classmethod
    def of(cls, spec: DataSpec) -> "Augmentation":
        """Return the augmentation a study file asks for; ``auto`` goes by the kind of set.

        A resized crop replaces the crop of a window.
        """
        kind = spec.kind.augmentation if spec.augmentation == "auto" else spec.augmentation
        jitter, drawn = spec.colour_jitter, spec.rand_augment
        transforms = Transforms(
            spec.random_resized_crop,
            None if drawn is None else (drawn.operations, drawn.magnitude),
            None
            if jitter is None
            else (jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue),
        )
        is_cropped = kind != "none" and spec.random_resized_crop is None
        return cls(
            padding=spec.crop_padding if is_cropped else 0,
            flips=kind == "crop_flip",
            transforms=None if transforms == Transforms() else transforms,
            cutout=spec.cutout,
        )

    @property
    def is_identity(self) -> bool:
        """Whether images are left as they are in every epoch."""
        return not (self.padding or self.flips or self.transforms or self.cutout)

    def content(self) -> dict[str, Any]:
        """Return what determines the images as plain data for a hash.

        What came later is left out where it is off: so earlier hashes hold. How torchvision's
        transforms draw and compute may change with its version, and with torch's.
        """
        content: dict[str, Any] = {"padding": self.padding, "flips": self.flips}
        if self.transforms is not None:
            versions = library_versions()
            content |= {n: v for n, v in vars(self.transforms).items() if v is not None}
            content["versions"] = [versions["torch"], versions["torchvision"]]
        if self.cutout:
            content["cutout"] = self.cutout
        return content

    def draw(self, seed: int, epoch: int, count: int) -> Tensor:
        """Draw for samples 0 to ``count - 1`` of an epoch.

        Returns int64 rows: top, left, is mirrored; with ``cutout`` a number that places the square;
        with transforms, last, a number that seeds them. Row i does not depend on ``count``, nor on
        how samples are batched later.
        """
        words = random_words(Purpose.AUGMENTATION, seed, epoch, 3 * count).reshape(count, 3)
        places = np.uint64(2 * self.padding + 1)
        draws = words % np.array([places, places, 2], dtype=np.uint64)
        if self.flips:
            first = random_words(Purpose.AUGMENTATION, seed, 0, count)  # no epoch has the number 0
            draws[:, 2] = (first % np.uint64(2)) ^ np.uint64(epoch % 2)
        else:
            draws[:, 2] = 0
        later = [Purpose.CUTOUT] * (self.cutout > 0) + [Purpose.TRANSFORMS] * bool(self.transforms)
        for purpose in later:
            words = random_words(purpose, seed, epoch, count) >> np.uint64(1)
            draws = np.concatenate([draws, words[:, None]], 1)
        return torch.from_numpy(draws.astype(np.int64))

    def apply(self, images: Tensor, draws: Tensor) -> Tensor:
        """Crop, mirror, transform and cut out of a batch, keeping its dtype.

        Args:
            images: (B, C, H, W), uint8 where there are transforms or a cutout.
            draws: the batch's rows of `draw`, (B, 3 to 5), on the same device.
        """
        if self.padding or self.flips:
            images = self._cut(images, draws)
        if self.transforms is not None:
            images = self.transforms.apply(images, draws[:, -1].tolist())
        if self.cutout:
            images = images.masked_fill(self._square(draws[:, 3], *images.shape[2:]), _GREY)
        return images

    def _square(self, words: Tensor, height: int, width: int) -> Tensor:
        """Return the pixels that the squares cover, bool (B, 1, height, width)."""
        rows, columns = words % height, words // height % width
        return (
            _near(rows, height, self.cutout)[:, None, :, None]
            & (_near(columns, width, self.cutout)[:, None, None, :])
        )

    def _cut(self, images: Tensor, draws: Tensor) -> Tensor:
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


def _near(centres: Tensor, length: int, size: int) -> Tensor:
    """Return which of ``length`` places lie in windows of ``size`` around centres: (B, length)."""
    offsets = torch.arange(length, device=centres.device) - (centres[:, None] - size // 2)
    return (offsets >= 0) & (offsets < size)
