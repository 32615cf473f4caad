"""Augmentations of torchvision's v2, drawn anew for each image from a number of its own."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mlgsearch.train.light_torch import v2


@dataclass(frozen=True)
class Transforms:
    """What is done to an image, in this order, each where it is not None.

    ``resized_crop`` is the range of the area that `RandomResizedCrop` cuts out, as a share of the
    image's, before it is brought to the image's size again (antialiased bilinear). ``rand_augment``
    are the number of operations and the magnitude of `RandAugment` (Cubuk et al. 2020, arXiv
    1909.13719). ``colour_jitter`` are brightness, contrast, saturation and hue of `ColorJitter`.
    """

    resized_crop: tuple[float, float] | None = None
    rand_augment: tuple[int, int] | None = None
    colour_jitter: tuple[float, float, float, float] | None = None

    def apply(self, images: Tensor, words: Sequence[int]) -> Tensor:
        """Transform a batch of uint8 images (B, C, H, W), on any device.

        Image i is a function of itself and of ``words[i]`` alone: torch's generator on the CPU,
        from which these transforms draw, is seeded with it, and is put back afterwards.
        """
        made: list[torch.nn.Module] = []
        height, width = images.shape[2:]
        if self.resized_crop is not None:
            made.append(v2.RandomResizedCrop((height, width), scale=self.resized_crop))
        if self.rand_augment is not None:
            operations, magnitude = self.rand_augment
            made.append(v2.RandAugment(operations, magnitude))
        if self.colour_jitter is not None:
            made.append(v2.ColorJitter(*self.colour_jitter))
        generator = torch.default_generator
        state = generator.get_state()
        out = torch.empty_like(images)
        try:
            for row, word in enumerate(words):
                generator.manual_seed(word)
                image = images[row]
                for transform in made:
                    image = transform(image)
                out[row] = image
        finally:
            generator.set_state(state)
        return out
