"""One pass over batches of any task: inputs are images, targets and loss are the caller's."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mlgsearch.errors import UserError
from mlgsearch.train.loop.epoch import CHECK_EVERY, require_finite
from mlgsearch.train.loop.steps import Steps, first_output
from mlgsearch.train.spec import OptimiserSpec

#: Maps (network's outputs, targets, teacher's outputs) to a scalar loss.
TaskLoss = Callable[[Tensor, Any, Tensor], Tensor]


@dataclass(frozen=True)
class TaskTotals:
    """Of an epoch: the mean loss per sample, and the learning rate of the last step."""

    loss: float
    learning_rate: float


def train_task_epoch(
    network: nn.Module,
    teacher: nn.Module,
    optimiser: Optimizer,
    batches: Iterable[Any],
    spec: OptimiserSpec,
    loss_of: TaskLoss,
    *,
    steps: int,
    epoch: int,
    memory_format: torch.memory_format = torch.contiguous_format,
) -> TaskTotals:
    """Train for epoch ``epoch`` (from 1) of ``spec.epochs``.

    Args:
        network: the student, trained in place.
        teacher: in eval mode, on the same device.
        optimiser: over all its parameters, from ``build_optimiser``.
        batches: of (images (N, C, H, W), targets); tensors are moved to the network's device.
        spec: schedule, averaging and precision, which is the teacher's too; its batch size plays
            no part.
        loss_of: see ``TaskLoss``.
        steps: how many batches an epoch has.
        epoch: which one this is.
        memory_format: of the images.

    Raises:
        TrainingDivergedError: the loss became NaN or infinite.
        UserError: a batch is no pair, the loss no scalar, or there are not ``steps`` batches.
    """
    device = next(network.parameters()).device
    total_steps = spec.epochs * steps
    trainer = Steps(network, optimiser, spec, total_steps)
    losses = torch.zeros(steps, device=device)
    sizes: list[int] = []
    done, rate = 0, 0.0
    network.train()
    for step, batch in enumerate(batches, (epoch - 1) * steps):
        if done == steps:
            raise UserError(f"train: it has more than the {steps} batches that its length says")
        images, targets = pair(batch)
        images = images.to(device, torch.float32).contiguous(memory_format=memory_format)
        with torch.no_grad(), trainer.autocast():
            wanted = first_output(teacher(images)).float()
        loss = loss_of(trainer.outputs(images), moved(targets, device), wanted)
        if not isinstance(loss, Tensor) or loss.ndim:
            raise UserError("loss: it must return a tensor without dimensions: a mean over samples")
        rate = trainer.update(loss, step)
        losses[done] = loss.detach()
        sizes.append(len(images))
        done += 1
        if done % CHECK_EVERY == 0:
            require_finite(losses[:done], epoch)
    require_finite(losses[:done], epoch)
    if done < steps:
        raise UserError(f"train: it has {done} batches, its length says {steps}")
    weights = torch.tensor(sizes, dtype=torch.float64)
    mean = (losses.cpu().double() * weights).sum() / weights.sum()
    return TaskTotals(float(mean), rate)


def pair(batch: Any) -> tuple[Tensor, Any]:
    """Return images and targets of a batch.

    Raises:
        UserError: it is something else, or the images are not of a floating-point type.
    """
    if not isinstance(batch, tuple | list) or len(batch) != 2 or not isinstance(batch[0], Tensor):
        raise UserError(
            f"train: a batch must be a pair (images, targets), got {type(batch).__name__}"
        )
    images, targets = batch
    if not images.is_floating_point():
        raise UserError(f"train: expected images of a floating-point type, got {images.dtype}")
    return images, targets


def moved(targets: Any, device: torch.device) -> Any:
    """Return targets on a device: a tensor, or tuples, lists and mappings of them."""
    if isinstance(targets, Tensor):
        return targets.to(device)
    if isinstance(targets, dict):
        return {name: moved(value, device) for name, value in targets.items()}
    if isinstance(targets, tuple | list):
        return type(targets)(moved(value, device) for value in targets)
    return targets
