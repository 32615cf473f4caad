"""What a study's images are normalised with: what the teacher was trained with, if it says so."""

from dataclasses import replace

import torch

from mlgsearch.errors import DataError
from mlgsearch.train.data.images import Images
from mlgsearch.train.spec import NormalisationSpec, TeacherSpec

#: What torchvision's published weights, and most others for ImageNet, were trained with.
IMAGENET = NormalisationSpec(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def normalised(images: Images, spec: TeacherSpec) -> Images:
    """Return the images with the mean and the deviation that a study file asks for.

    Raises:
        DataError: they are not of the images' channels.
    """
    if spec.normalisation == "data":
        return images
    asked = IMAGENET if spec.normalisation == "imagenet" else spec.normalisation
    channels = images.input_shape[0]
    if len(asked.mean) != channels or len(asked.std) != channels:
        numbers = "imagenet has 3" if spec.normalisation == "imagenet" else "write one for each"
        raise DataError(f"teacher.normalisation: the images have {channels} channels, {numbers}")
    return replace(images, mean=torch.tensor(asked.mean), std=torch.tensor(asked.std))
