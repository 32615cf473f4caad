"""What all trials of a study share: images, teacher, teacher's logits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from mlgsearch.errors import DataError
from mlgsearch.mlg.network import NetworkShape, network_shape
from mlgsearch.train.data.augmentation import Augmentation
from mlgsearch.train.data.batches import TrainingBatches
from mlgsearch.train.data.images import Images
from mlgsearch.train.data.load import load_images
from mlgsearch.train.device import set_up_device
from mlgsearch.train.loop.evaluation import HeldOutPart
from mlgsearch.train.networks.models import network_without_memory
from mlgsearch.train.own_code import errors_of
from mlgsearch.train.progress import Progress, no_progress
from mlgsearch.train.spec import NormalisationSpec, TeacherSpec, TrainSpec
from mlgsearch.train.teacher.logits import Given, TeacherLogits
from mlgsearch.train.teacher.teacher import (
    Teacher,
    build_network,
    load_or_train_teacher,
    open_teacher,
    shape_without_memory,
)
from mlgsearch.writable_place import check_cache

#: What torchvision's published weights, and most others for ImageNet, were trained with.
IMAGENET = NormalisationSpec(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


class Prepared:
    """Images on the device, the teacher, and its logits; made once per process.

    The driver calls `prepare`, which loads, trains and computes what is not in the cache; a worker
    calls `Prepared.open`, which finds it there, or is given it where it does not see that cache.
    """

    def __init__(
        self,
        spec: TrainSpec,
        cache: Path,
        device: torch.device,
        images: Images,
        teacher: Teacher,
        given_logits: Given | None = None,
    ) -> None:
        self.spec = spec
        self.device = device
        self.images = images
        self.teacher = teacher
        self.training = TrainingBatches(images, Augmentation.of(spec.data), device)
        self.validation = HeldOutPart(images, images.validation, device)
        self._cache = cache
        self._given_logits = given_logits
        self._logits: dict[int, TeacherLogits] = {}

    @classmethod
    def open(cls, spec: TrainSpec, cache: Path, device: torch.device) -> Prepared:
        """Open on a worker what the driver prepared; nothing is trained.

        Raises:
            DataError: the data are not where the study file says, or the teacher is not in the
                cache.
        """
        images = normalised(load_images(spec.data, cache, verifies=False), spec.teacher)
        teacher = open_teacher(spec, images, cache)
        if teacher is None:
            raise DataError(
                f"the teacher is not under {cache / 'teachers'}: call prepare() first, and let "
                "all workers see one cache directory with the same libraries installed, and the "
                "same code behind model.name"
            )
        teacher.network.to(device)
        return cls(spec, cache, device, images, teacher)

    @property
    def data_hash(self) -> str:
        """The hash of the images and their split."""
        return self.images.data_hash

    @property
    def teacher_hash(self) -> str:
        """The hash of the teacher's weights and of all that should determine them."""
        return self.teacher.hash

    def network_shape(self) -> NetworkShape:
        """Return the shape of the study's network at these images."""
        return network_shape(build_network(self.spec.model, self.images), self.images.input_shape)

    def logits(self, seed: int) -> TeacherLogits:
        """Return the teacher's logits under the augmentation of a training seed."""
        if seed not in self._logits:
            self._logits[seed] = TeacherLogits(
                self.teacher,
                self.images,
                self.training,
                self._cache,
                seed,
                self._given_logits,
                self.spec.training.precision,
            )
        return self._logits[seed]


def prepare(
    spec: TrainSpec,
    cache: Path,
    *,
    epochs: int,
    device: torch.device,
    progress: Progress = no_progress,
    look_at: Callable[[NetworkShape, Images], None] | None = None,
) -> Prepared:
    """Load the data, get the teacher, compute its logits for epochs 1 to ``epochs``.

    Everything is cached under ``cache``, so a second call is quick. The network is built, on
    ``meta``, before images are decoded. ``look_at`` is called with the network's shape and the
    images before a teacher is trained.

    Raises:
        UserError: the data, the network or its code, or the checkpoint is not usable; or something
            is to be made and the cache cannot be written.
        TrainingDivergedError: the teacher's training diverged.
    """
    set_up_device(device)
    if not cache.is_dir():
        check_cache(cache)
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)  # it holds the images, among others
    progress("data", 0, 1, spec.data.name)
    tried = partial(network_without_memory, spec.model)
    images = normalised(
        load_images(spec.data, cache, progress, before_decoding=tried), spec.teacher
    )
    progress("data", 1, 1, f"{len(images.labels)} images of {images.classes} classes")
    with errors_of(spec.model.name):
        if look_at is not None:
            look_at(shape_without_memory(spec.model, images), images)
        teacher = load_or_train_teacher(spec, images, cache, device, progress)
        prepared = Prepared(spec, cache, device, images, teacher)
        if spec.distillation.weight > 0:
            prepared.logits(spec.seed).ensure(range(1, epochs + 1), progress)
    return prepared


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
