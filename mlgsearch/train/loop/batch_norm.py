"""Batch-norm statistics for a network whose weights have just been replaced."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mlgsearch.mlg.input_quantiser import InputQuantiser
from mlgsearch.mlg.running.eval_mode import in_eval_mode
from mlgsearch.mlg.running.generation import generated_once
from mlgsearch.train.data.batches import TrainingBatches, batch_bounds
from mlgsearch.train.data.randomness import Purpose, permutation

#: Training batches that statistics are estimated on.
_BATCHES = 16


def reestimate_on(
    network: nn.Module,
    batches: TrainingBatches,
    batch_size: int,
    *,
    seed: int,
    memory_format: torch.memory_format = torch.contiguous_format,
) -> None:
    """Estimate a network's batch-norm statistics anew, in place, on some training batches.

    They are those that an epoch 0 of this seed would begin with. See `reestimate_batch_norm`.
    """
    batches.start_epoch(seed, 0)
    order = permutation(Purpose.ORDER, seed, 0, batches.count).to(batches.device)
    bounds = batch_bounds(batches.count, batch_size)[:_BATCHES]
    reestimate_batch_norm(
        network,
        (
            batches.inputs(order[start:stop]).contiguous(memory_format=memory_format)
            for start, stop in bounds
        ),
    )


def reestimate_batch_norm(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replace the running statistics, in place, by plain averages over ``batches``.

    Each batch has shape (B, C, H, W). Input quantisers see them too, so that a new student's range
    is known when its first step is taken, and its statistics are of quantised inputs. Nothing else
    changes: no weight moves, dropout is off, and every module's mode and momentum are put back.
    """
    norms = [
        module
        for module in network.modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats
    ]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    with in_eval_mode(network):
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # torch's word for a cumulative average
            norm.train()
        for module in network.modules():
            if isinstance(module, InputQuantiser):
                module.train()
        with torch.no_grad(), generated_once(network):
            for inputs in batches:
                network(inputs)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
