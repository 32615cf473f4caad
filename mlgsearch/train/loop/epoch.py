"""One pass over the training part; the same for teacher and student."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mlgsearch.errors import MlgsearchError
from mlgsearch.train.data.batches import TrainingBatches, batch_bounds
from mlgsearch.train.data.randomness import Purpose, permutation, seed_torch
from mlgsearch.train.loop.average import adopt_average
from mlgsearch.train.loop.batch_norm import reestimate_on
from mlgsearch.train.loop.steps import Steps
from mlgsearch.train.spec import OptimiserSpec

#: Maps (logits (B, classes), labels (B,), positions (B,)) to a scalar loss.
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]

#: How many steps' losses are looked at together: looking costs a wait for the device.
CHECK_EVERY = 50
#: How many batches ahead images are read from a set that is larger than memory.
_READ_AHEAD = 4


class TrainingDivergedError(MlgsearchError):
    """The training loss is no longer finite."""

    def __init__(self, epoch: int, step: int, value: float) -> None:
        super().__init__(f"training diverged: loss {value} in epoch {epoch}, step {step}")
        self.epoch = epoch
        self.step = step
        self.value = value


@dataclass(frozen=True)
class EpochTotals:
    """Means over an epoch's samples, as the network saw them while it changed."""

    loss: float
    accuracy: float
    learning_rate: float


def train_epoch(
    network: nn.Module,
    optimiser: Optimizer,
    batches: TrainingBatches,
    spec: OptimiserSpec,
    loss_of: Loss,
    *,
    seed: int,
    epoch: int,
    memory_format: torch.memory_format = torch.contiguous_format,
    epochs_before: int = 0,
    only: nn.Module | None = None,
) -> EpochTotals:
    """Train for epoch ``epoch`` (from 1) of ``spec.epochs``, which begin after ``epochs_before``.

    The outcome is a function of the arguments alone: order, augmentation, torch's generators and
    the learning rate all follow from (seed, epoch), so a resumed training repeats the undisturbed
    one. The learning rate reported is that of the last step. Where ``spec.average`` asks for it the
    last epoch ends with the average of the weights, and batch-norm's statistics of that.

    Where ``only`` is given the rest of the network is in eval mode; that its weights do not move is
    left to the optimiser.

    Raises:
        TrainingDivergedError: the loss became NaN or infinite.
    """
    seed_torch(seed, epoch)
    batches.start_epoch(seed, epoch)
    order = permutation(Purpose.ORDER, seed, epoch, batches.count).to(batches.device)
    bounds = batch_bounds(batches.count, spec.batch_size)
    losses = torch.zeros(len(bounds), device=batches.device)
    correct = torch.zeros((), dtype=torch.int64, device=batches.device)
    first_step = (epoch - 1 - epochs_before) * len(bounds)
    total_steps = spec.epochs * len(bounds)
    rate = 0.0
    if only is None:
        network.train()
    else:
        network.eval()
        only.train()
    steps = Steps(network, optimiser, spec, total_steps)
    for start, stop in bounds[:_READ_AHEAD]:
        batches.expect(order[start:stop])
    for step, (start, stop) in enumerate(bounds):
        for ahead in bounds[step + _READ_AHEAD : step + _READ_AHEAD + 1]:
            batches.expect(order[slice(*ahead)])
        positions = order[start:stop]
        inputs = batches.inputs(positions).contiguous(memory_format=memory_format)
        labels = batches.labels[positions]
        logits = steps.outputs(inputs)  # (B, classes)
        loss = loss_of(logits, labels, positions)
        rate = steps.update(loss, first_step + step)
        losses[step] = loss.detach()
        correct += (logits.detach().argmax(1) == labels).sum()
        if (step + 1) % CHECK_EVERY == 0 or step + 1 == len(bounds):
            require_finite(losses[: step + 1], epoch)
    if epoch - epochs_before == spec.epochs and adopt_average(optimiser):
        reestimate_on(network, batches, spec.batch_size, seed=seed, memory_format=memory_format)
    sizes = torch.tensor([stop - start for start, stop in bounds], dtype=torch.float64)
    mean_loss = (losses.cpu().double() * sizes).sum().item() / batches.count
    return EpochTotals(mean_loss, correct.item() / batches.count, rate)


def require_finite(losses: Tensor, epoch: int) -> None:
    """Check the losses of an epoch's first steps.

    Raises:
        TrainingDivergedError: one is NaN or infinite.
    """
    for step, value in enumerate(losses.tolist()):
        if not math.isfinite(value):
            raise TrainingDivergedError(epoch, step + 1, value)
