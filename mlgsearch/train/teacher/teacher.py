"""The network that students are made from: loaded, or trained once and cached."""

import functools
import hashlib
import json
import logging
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional

from mlgsearch.errors import DataError
from mlgsearch.mlg.folding import fold
from mlgsearch.mlg.network import NetworkShape, network_shape
from mlgsearch.train.data.augmentation import Augmentation
from mlgsearch.train.data.batches import TrainingBatches
from mlgsearch.train.data.images import Images
from mlgsearch.train.device import memory_format
from mlgsearch.train.light_torch import without_compiler
from mlgsearch.train.loop import checkpoint
from mlgsearch.train.loop.epoch import train_epoch
from mlgsearch.train.loop.evaluation import HeldOutPart
from mlgsearch.train.loop.optim import build_optimiser
from mlgsearch.train.networks.models import build_model, network_without_memory
from mlgsearch.train.networks.timm_networks import PREFIX, timm_version, timm_weights
from mlgsearch.train.own_code import names_code
from mlgsearch.train.own_sources import sources_hash
from mlgsearch.train.progress import Progress
from mlgsearch.train.spec import TIMM, ModelSpec, OptimiserSpec, TeacherSpec, TrainSpec
from mlgsearch.train.teacher.teacher_checkpoint import checkpoint_sha256, load_checkpoint
from mlgsearch.train.tensor_file import read_cached, write_tensors
from mlgsearch.train.versions import library_versions
from mlgsearch.writable_place import check_cache

_log = logging.getLogger(__name__)

#: Bumped when teachers come out otherwise for the same specification (2: flips alternate).
_FORMAT = 2

#: Images that a network is fitted to before its training.
_FITTED = 5_000


@runtime_checkable
class FitsInput(Protocol):
    """A network that sets some of its weights from images before it is trained."""

    def fit_input(self, images: Tensor) -> None:
        """Look at (B, C, H, W) normalised training images."""


@dataclass(frozen=True, eq=False)
class Teacher:
    """A trained network in eval mode, its weights frozen.

    ``hash`` is that of the weights and of all that should determine them; ``recipe`` is of the
    latter alone, as `teacher_hash` gives it. The same recipe may give other weights elsewhere: a
    training depends on the number of threads and on the processor. ``accuracy`` is the fraction
    right on the validation part.
    """

    network: nn.Module
    hash: str
    accuracy: float
    recipe: str


def build_network(
    spec: ModelSpec, images: Images, seed: int = 0, *, folds: bool = True
) -> nn.Module:
    """Build the network of a study for its images; see `build_model`."""
    channels, height, width = images.input_shape
    return build_model(
        spec,
        classes=images.classes,
        channels=channels,
        image_size=(height, width),
        seed=seed,
        folds=folds,
    )


def shape_without_memory(spec: ModelSpec, images: Images) -> NetworkShape:
    """Return the shape of a study's network, built on ``meta``: see `network_without_memory`."""
    with without_compiler():
        network = network_without_memory(spec, images.classes, images.input_shape)
        return network_shape(network, images.input_shape)


def teacher_hash(spec: TrainSpec, images: Images) -> str:
    """Hash all that determines the teacher.

    That is data and model, the source behind a ``module:callable`` (see `sources_hash`) or timm's
    version, and the checkpoint's bytes, or augmentation, training, seed and the versions of torch
    and torchvision.

    Raises:
        DataError: a checkpoint is named and cannot be read.
        OwnCodeError: there is no such ``module:callable``.
    """
    content: dict[str, object] = {
        "format": _FORMAT,
        "data": images.data_hash,
        "model": spec.model.model_dump(),
        **spec.teacher.later(),
    }
    if names_code(spec.model.name):
        content["sources"] = sources_hash(spec.model.name)
    if spec.model.name.startswith(PREFIX):
        content["timm"] = timm_version(spec.model.name)
    if images.judge != "accuracy":  # its accuracy is cached beside it
        content["judge"] = images.judge
    if spec.teacher.checkpoint is not None:
        content["checkpoint"] = checkpoint_sha256(_weights(spec))
    if spec.teacher.is_trained:
        versions = library_versions()
        content |= {
            "augmentation": Augmentation.of(spec.data).content(),
            "training": spec.teacher.training.content(),
            "seed": spec.teacher.seed,
            "versions": [versions["torch"], versions["torchvision"]],
        }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def open_teacher(spec: TrainSpec, images: Images, cache: Path) -> Teacher | None:
    """Return the teacher from the cache, on the CPU, or None where it is not there or damaged."""
    key = teacher_hash(spec, images)
    cached = read_cached(_path(cache, key), "teacher")
    if cached is None:
        return None
    tensors, metadata = cached
    network = build_network(spec.model, images)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise DataError(
            f"teacher: {_path(cache, key)} was made from another network of the name "
            f"{spec.model.name}; delete that file to train it anew ({error})"
        ) from error
    accuracy = metadata.get("accuracy")
    if not isinstance(accuracy, float):
        _log.warning(
            "the cached teacher is of another version, and not used: %s", _path(cache, key)
        )
        return None
    return _frozen(network, key, accuracy)


def load_or_train_teacher(
    spec: TrainSpec, images: Images, cache: Path, device: torch.device, progress: Progress
) -> Teacher:
    """Return the teacher from the cache, else from its checkpoint, else train it; and cache it.

    An interrupted training goes on from its last epoch. Two processes at once both train, and
    either's file serves both.

    Raises:
        DataError: the checkpoint is missing, damaged, or of another network.
        TrainingDivergedError: the training's loss became NaN or infinite.
        UserError: it is not in the cache, which cannot be written.
    """
    cached = open_teacher(spec, images, cache)
    if cached is not None:
        progress("teacher", 1, 1, f"cached, accuracy {cached.accuracy:.2%}")
        cached.network.to(device)
        return cached
    check_cache(cache)
    key = teacher_hash(spec, images)
    network = build_network(spec.model, images, spec.teacher.seed, folds=False)
    validation = HeldOutPart(images, images.validation, device)
    new = new_head(spec.model, spec.teacher, images)
    if spec.teacher.checkpoint is not None:
        found = load_checkpoint(network, _weights(spec), spec.teacher.entry, new)
        progress("teacher", 0, 1, f"loaded{found}")
    if not spec.teacher.is_trained:
        network.to(device)
        _, accuracy = validation.evaluate(network)
        progress("teacher", 1, 1, f"loaded, accuracy {accuracy:.2%}")
    else:
        network.to(device)
        directory = cache / "teachers" / key
        accuracy = _train(spec, network, images, validation, directory, progress, new)
    fold(network)  # students begin from the weights as they are
    write_tensors(
        _path(cache, key),
        network.state_dict(),
        {
            "accuracy": accuracy,
            "class_names": list(images.class_names),
            "mean": images.mean.tolist(),
            "std": images.std.tolist(),
            "model": spec.model.model_dump(),
            "versions": library_versions(),
        },
    )
    shutil.rmtree(cache / "teachers" / key, ignore_errors=True)
    return _frozen(network, key, accuracy)


def _weights(spec: TrainSpec) -> Path:
    """Return the file that the teacher's weights are read from."""
    assert spec.teacher.checkpoint is not None
    if spec.teacher.checkpoint == TIMM:
        return timm_weights(spec.model.name, downloads=spec.teacher.download)
    return Path(spec.teacher.checkpoint).expanduser()


def new_head(spec: ModelSpec, teacher: TeacherSpec, images: Images) -> str | None:
    """Return the name of the layer that a teacher's file does not fill; None where it fills all.

    Raises:
        DataError: the layer that gives the logits is not a linear one.
    """
    if teacher.head != "new":
        return None
    head = shape_without_memory(spec, images).head
    if head is None:
        raise DataError(f"teacher.head: new needs a linear layer at the end, {spec.name} has none")
    return head


@dataclass(frozen=True)
class Phase:
    """Some epochs in a row, after ``begin``, that train the whole network or its head alone."""

    begin: int
    training: OptimiserSpec
    head: str | None = None

    @property
    def end(self) -> int:
        """The last epoch."""
        return self.begin + self.training.epochs

    def select(self, network: nn.Module, trainable: Iterable[nn.Parameter]) -> nn.Module | None:
        """Enable gradients of what this phase trains of the ``trainable``; return a lone head."""
        head = None if self.head is None else network.get_submodule(self.head)
        moved = {*(network if head is None else head).parameters()}
        for parameter in trainable:
            parameter.requires_grad_(parameter in moved)
        return head


def training_phases(spec: TeacherSpec, head: str | None) -> list[Phase]:
    """Return the phases of a teacher's training, each with a schedule of its own."""
    training, alone = spec.training, spec.head_epochs
    # An average of the head's weights would have batch-norm's statistics estimated anew.
    first = training.model_copy(update={"epochs": alone, "average": 0.0})
    rest = training.model_copy(update={"epochs": training.epochs - alone})
    phases = [Phase(0, first, head), Phase(alone, rest)]
    return [phase for phase in phases if phase.training.epochs > 0]


@without_compiler()
def _train(
    spec: TrainSpec,
    network: nn.Module,
    images: Images,
    validation: HeldOutPart,
    directory: Path,
    progress: Progress,
    head: str | None,
) -> float:
    """Train with cross-entropy, a checkpoint each epoch; return the validation accuracy."""
    device = next(network.parameters()).device
    layout = memory_format(images.input_shape)
    network.to(memory_format=layout)
    epochs, seed = spec.teacher.training.epochs, spec.teacher.seed
    batches = TrainingBatches(images, Augmentation.of(spec.data), device)
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    done, accuracy = 0, 0.0
    saved = checkpoint.load(directory, "teacher", checkpoint.epochs_done)
    if saved is not None:
        done = checkpoint.epochs_done(saved)
        checkpoint.restore_network(network, saved)
    elif isinstance(network, FitsInput) and spec.teacher.checkpoint is None:
        batches.start_epoch(seed, 1)
        network.fit_input(batches.inputs(torch.arange(min(_FITTED, batches.count), device=device)))
    for phase in training_phases(spec.teacher, head):
        if done >= phase.end:
            continue
        only = phase.select(network, trainable)
        optimiser = build_optimiser(network, phase.training)
        if saved is not None and done > phase.begin:
            checkpoint.restore(network, optimiser, saved)
        loss = functools.partial(_cross_entropy, phase.training.label_smoothing)
        for epoch in range(max(done, phase.begin) + 1, phase.end + 1):
            note = f"accuracy {accuracy:.2%}" if accuracy else ""
            progress("teacher", epoch - 1, epochs, note)
            train_epoch(
                network,
                optimiser,
                batches,
                phase.training,
                loss,
                seed=seed,
                epoch=epoch,
                memory_format=layout,
                epochs_before=phase.begin,
                only=only,
            )
            _, accuracy = validation.evaluate(network, layout)
            checkpoint.save(directory, "teacher", *checkpoint.capture(network, optimiser, epoch))
    _, accuracy = validation.evaluate(network, layout)
    progress("teacher", epochs, epochs, f"accuracy {accuracy:.2%}")
    return accuracy


def _cross_entropy(smoothing: float, logits: Tensor, labels: Tensor, positions: Tensor) -> Tensor:
    del positions
    return functional.cross_entropy(logits, labels, label_smoothing=smoothing)


def _frozen(network: nn.Module, key: str, accuracy: float) -> Teacher:
    network.eval().requires_grad_(False)
    return Teacher(network, _hash_with_weights(key, network), accuracy, key)


def _hash_with_weights(key: str, network: nn.Module) -> str:
    digest = hashlib.sha256(key.encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"|{name} {tensor.dtype} {tuple(tensor.shape)}|".encode())
        digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _path(cache: Path, key: str) -> Path:
    return cache / "teachers" / f"{key}.safetensors"
