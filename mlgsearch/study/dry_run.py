"""What a launch would do and how long it would take, without doing it."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from mlgsearch.control_groups import processors
from mlgsearch.mlg.network import NetworkShape, network_shape
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.study.cluster.capacity import Capacity, capacity_on
from mlgsearch.study.file.allowed_code import offer_code
from mlgsearch.study.file.spec import StudySpec
from mlgsearch.study.space.layer_tables import choices
from mlgsearch.study.space.possible_limits import require_possible
from mlgsearch.train.data.augmentation import Augmentation
from mlgsearch.train.data.batches import TrainingBatches, batch_bounds
from mlgsearch.train.data.images import Images
from mlgsearch.train.data.load import load_images
from mlgsearch.train.device import best_device, memory_format, set_up_device
from mlgsearch.train.light_torch import without_compiler
from mlgsearch.train.loop.evaluation import HeldOutPart
from mlgsearch.train.loop.optim import build_optimiser
from mlgsearch.train.loop.steps import Steps
from mlgsearch.train.networks.models import network_without_memory
from mlgsearch.train.spec import OptimiserSpec
from mlgsearch.train.student.student import compress_as
from mlgsearch.train.teacher.teacher import build_network, new_head, open_teacher, training_phases

#: Steps that are timed after one that is not.
_TIMED = 3


@dataclass(frozen=True)
class Forecast:
    """What a launch would do; times are seconds, measured on this machine with little beside.

    ``teacher_s`` is 0 where the teacher is cached or loaded. ``given`` trials are written in the
    file, ``planned`` ones come from the plan, ``proposed`` ones from the sampler. ``trial_s`` is
    one student at full length, without what early stopping may save; ``total_s`` leaves out Ray's
    start, the teacher's logits and the layers' tables.
    """

    classes: int
    train_samples: int
    validation_samples: int
    layers: int
    parameters: int
    teacher_s: float
    given: int
    planned: int
    proposed: int
    epochs: int
    trial_s: float
    at_once: int
    total_s: float


def forecast(spec: StudySpec, cache: Path, max_parallel: int | None = None) -> Forecast:
    """Load the data, time a few steps of the teacher and of a middling student, and add up.

    Nothing is trained, and nothing is written but decoded images.

    Raises:
        UserError: the data or the network cannot be used, or nothing keeps the limits.
    """
    offer_code(spec)
    train, device = spec.train_spec(), best_device()
    tried = partial(network_without_memory, spec.model)
    images = load_images(spec.data, cache, before_decoding=tried)
    shape = network_shape(build_network(spec.model, images), images.input_shape)
    require_possible(spec, shape, images)
    capacity = _capacity(spec, max_parallel)
    set_up_device(device, capacity.threads)
    batches = TrainingBatches(images, Augmentation.of(spec.data), device)
    teacher_s = 0.0
    if spec.teacher.is_trained and open_teacher(train, images, cache) is None:
        network = build_network(spec.model, images).to(device)
        parameters = [each for each in network.parameters() if each.requires_grad]
        for phase in training_phases(spec.teacher, new_head(spec.model, spec.teacher, images)):
            head = phase.select(network, parameters)
            teacher_s += _training_s(network, phase.training, images, batches, head)
    student = build_network(spec.model, images)
    in_bits = max(spec.space.activation_bits, default=spec.quantisation.in_bits)
    quantisation = spec.quantisation.model_copy(update={"in_bits": in_bits})
    began = time.perf_counter()
    compress_as(student, _middling(spec, shape), quantisation)
    projection_s = time.perf_counter() - began
    trial_s = projection_s + _training_s(student.to(device), spec.training, images, batches)
    total, given = spec.search.n_trials, min(len(spec.search.first), spec.search.n_trials)
    planned = min(spec.planned_trials, total - given)
    return Forecast(
        classes=images.classes,
        train_samples=len(images.train),
        validation_samples=len(images.validation),
        layers=len(shape.layers),
        parameters=shape.full_parameters,
        teacher_s=teacher_s,
        given=given,
        planned=planned,
        proposed=total - given - planned,
        epochs=spec.training.epochs,
        trial_s=trial_s,
        at_once=capacity.count,
        total_s=teacher_s + -(-total // capacity.count) * trial_s,
    )


def _capacity(spec: StudySpec, max_parallel: int | None) -> Capacity:
    cpus = processors()
    node = {"CPU": float(cpus), "GPU": float(torch.cuda.device_count())}
    return capacity_on([node], spec.resources, max_parallel)


def _middling(spec: StudySpec, shape: NetworkShape) -> dict[str, LayerSetting]:
    """Return a setting in the middle of each layer's range, by ratio where it is of bases."""
    ranges, fixed = choices(spec.space, shape)

    def middle(span: tuple[int, int]) -> int:
        return round(math.sqrt(span[0] * span[1]))

    setting = LayerSetting(
        middle(ranges.base_in),
        middle(ranges.base_out),
        middle(ranges.q_basis),
        middle(ranges.q_coeff_in),
        middle(ranges.q_coeff_out),
    )
    return {
        name: fixed.get(name) or setting.canonical(layer) for name, layer in shape.layers.items()
    }


@without_compiler()
def _training_s(
    network: nn.Module,
    training: OptimiserSpec,
    images: Images,
    batches: TrainingBatches,
    only: nn.Module | None = None,
) -> float:
    """Time steps and one look at the validation part; return what all epochs would take."""
    layout = memory_format(images.input_shape)
    network.to(memory_format=layout).train(only is None)
    if only is not None:
        only.train()
    batches.start_epoch(0, 1)
    bounds = batch_bounds(batches.count, training.batch_size)
    steps = Steps(
        network, build_optimiser(network, training), training, training.epochs * len(bounds)
    )
    positions = torch.arange(min(training.batch_size, batches.count), device=batches.device)

    def step() -> None:
        inputs = batches.inputs(positions).contiguous(memory_format=layout)
        loss = functional.cross_entropy(steps.outputs(inputs), batches.labels[positions])
        steps.update(loss, 0)

    step_s = _timed(step, batches.device)
    part = HeldOutPart(images, images.validation, batches.device)
    look_s = _timed(lambda: part.evaluate(network, layout), batches.device)
    return training.epochs * (len(bounds) * step_s + look_s)


def _timed(act: Callable[[], object], device: torch.device) -> float:
    act()
    _wait(device)
    began = time.perf_counter()
    for _ in range(_TIMED):
        act()
    _wait(device)
    return (time.perf_counter() - began) / _TIMED


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
