"""One training step, the same for a teacher, a student and a task of one's own."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mlgsearch.mlg.quantise_together import FactorQuantiser
from mlgsearch.train.loop.average import add_to_average, first_averaged_step
from mlgsearch.train.loop.faulty_kernels import StridedPointwise
from mlgsearch.train.loop.optim import learning_rate, set_learning_rate
from mlgsearch.train.spec import OptimiserSpec


class Steps:
    """The steps of a training of ``total_steps``; see `OptimiserSpec` for what it says of them."""

    def __init__(
        self, network: nn.Module, optimiser: Optimizer, spec: OptimiserSpec, total_steps: int
    ) -> None:
        self._network = network
        self._device = next(network.parameters()).device
        self._optimiser = optimiser
        self._spec = spec
        self._total = total_steps
        self._averaged_from = first_averaged_step(spec, total_steps)
        self._factors = FactorQuantiser(network)
        self._strided = StridedPointwise(network)

    def outputs(self, inputs: Tensor) -> Tensor:
        """Return what the network makes of a batch, float32; its first output where it has more."""
        with self._factors.quantised(), self._strided.avoided(), self.autocast():
            return first_output(self._network(inputs)).float()

    def autocast(self) -> torch.autocast:
        """Return the context in which a pass has the training's precision."""
        is_bfloat16 = self._spec.precision == "bfloat16"
        return torch.autocast(self._device.type, torch.bfloat16, enabled=is_bfloat16)

    def update(self, loss: Tensor, step: int) -> float:
        """Move the parameters against a loss's gradient; return the learning rate.

        Args:
            loss: a scalar that depends on `outputs`.
            step: which one this is, from 0.
        """
        self._optimiser.zero_grad(set_to_none=False)
        loss.backward()  # type: ignore[no-untyped-call]
        rate = learning_rate(self._spec, step, self._total)
        set_learning_rate(self._optimiser, rate)
        self._optimiser.step()
        if step >= self._averaged_from:
            add_to_average(self._optimiser)
        return rate


def first_output(output: Any) -> Tensor:
    """Return a network's logits, which come first where training mode gives auxiliary ones too."""
    while isinstance(output, tuple | list):
        output = output[0]
    logits: Tensor = output
    return logits
