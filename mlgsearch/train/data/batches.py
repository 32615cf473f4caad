"""The training part as the network sees it: augmented, normalised, batch by batch."""

import torch
from torch import Tensor

from mlgsearch.train.data.augmentation import Augmentation
from mlgsearch.train.data.images import Images
from mlgsearch.train.data.memory import available_memory
from mlgsearch.train.data.pixel_source import PixelSource

#: Bytes of normalised float images that are kept ready where nothing is augmented.
_READY_BYTES = 512 * 2**20


class TrainingBatches:
    """The training part on one device.

    Samples are named by their position in the training part, 0 to ``count - 1``; rows of teacher
    logits go by the same positions.
    """

    def __init__(self, images: Images, augmentation: Augmentation, device: torch.device) -> None:
        self.augmentation = augmentation
        self.labels = images.labels[images.train].to(device)  # (N,)
        self._source = PixelSource(images.pixels, images.train, device)
        self._normalisation = Normalisation(images, device)
        self._draws: Tensor | None = None  # (N, 3)
        self._ready: Tensor | None = None  # (N, C, H, W) float32
        ready_bytes = 4 * self.count * images.pixels[0].numel()
        if augmentation.is_identity and ready_bytes <= min(_READY_BYTES, available_memory() // 8):
            self._ready = self._normalisation.apply(self._source.take(torch.arange(self.count)))

    @property
    def count(self) -> int:
        """The number of training samples."""
        return len(self.labels)

    @property
    def device(self) -> torch.device:
        """Where the images are."""
        return self.labels.device

    def start_epoch(self, seed: int, epoch: int) -> None:
        """Draw the augmentation of an epoch; `inputs` gives that epoch's images from here on."""
        if not self.augmentation.is_identity:
            draws = self.augmentation.draw(seed, epoch, self.count)
            self._draws = draws.to(self.device)

    def expect(self, positions: Tensor) -> None:
        """Begin to read the images at ``positions`` (B,), which are needed in some steps."""
        if self._ready is None:
            self._source.expect(positions)

    def inputs(self, positions: Tensor) -> Tensor:
        """Return the images at ``positions`` (B,) as float32 (B, C, H, W)."""
        if self._ready is not None:
            return self._ready[positions]
        pixels = self._source.take(positions)
        if self._draws is not None:
            pixels = self.augmentation.apply(pixels, self._draws[positions])
        return self._normalisation.apply(pixels)


class Normalisation:
    """From uint8 pixels to what the network takes: zero mean and unit deviation a channel."""

    def __init__(self, images: Images, device: torch.device) -> None:
        std = images.std.to(device)
        self._scale = (1 / (255 * std))[:, None, None]  # (C, 1, 1)
        self._shift = (-images.mean.to(device) / std)[:, None, None]  # (C, 1, 1)

    def apply(self, pixels: Tensor) -> Tensor:
        """Map (B, C, H, W) uint8 to float32."""
        return torch.addcmul(self._shift, pixels.float(), self._scale)


def batch_bounds(count: int, batch_size: int) -> list[tuple[int, int]]:
    """Cut ``range(count)`` into (start, stop) runs of ``batch_size``.

    The last may be shorter; a single sample left over joins the batch before it, since batch-norm
    cannot train on one value.
    """
    bounds = [(start, min(start + batch_size, count)) for start in range(0, count, batch_size)]
    if len(bounds) > 1 and bounds[-1][1] - bounds[-1][0] == 1:
        _, (last, _) = bounds.pop(), bounds.pop()
        bounds.append((last, count))
    return bounds
