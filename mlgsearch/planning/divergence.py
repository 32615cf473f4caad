"""How far a network's answers move when one of its layers alone is compressed.

Damage looks at a layer's own output. What becomes of it depends on the layer's place: a residual
branch may be lost and the shortcut still carries the signal, while a head of rank two cannot name
ten classes. So the answers are measured, layer by layer.
"""

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from mlgsearch.mlg.kinds import compressible_layers

#: Answers are compared as distillation compares them, softened.
_TEMPERATURE = 4.0

#: Images that may go through the network in all, for all layers; a deep one is measured on fewer.
_MOST_IMAGES = 40_000


class Divergence:
    """Measures by a copy of a trained network, which is left as it was.

    Batch-norm uses the statistics of each batch, in the network as in what it is compared with:
    a student's statistics are estimated anew before it is trained.

    Args of the constructor:
        network: gives logits.
        batches: normalised images, each (N, C, H, W), N at least 2; the first ones are used, so
            many that ``measurements`` fit into ``_MOST_IMAGES``, but at least one.
        measurements: how often `at` will be called.
    """

    def __init__(self, network: nn.Module, batches: Sequence[Tensor], measurements: int) -> None:
        self._network = deepcopy(network).eval().requires_grad_(False)
        for module in self._network.modules():
            if isinstance(module, _BatchNorm):
                module.train()
        device = next(self._network.parameters()).device
        count = max(1, _MOST_IMAGES // max(1, measurements * len(batches[0])))
        self._batches = [batch.to(device) for batch in batches[:count]]
        self._layers = compressible_layers(self._network)
        self._answers = [self._log_chances(batch).exp() for batch in self._batches]

    @torch.no_grad()
    def at(self, layer: str, weight: Tensor) -> float:
        """Return the mean divergence with another (C_out, C_in, ...) of one layer; larger is worse.

        It is T**2 * KL(network || changed network) in nats at temperature T, a mean over images.
        """
        own = self._layers[layer]
        kept = own.canonical_weight.detach().clone()
        own.write(weight)
        total = samples = 0.0
        for batch, answers in zip(self._batches, self._answers, strict=True):
            changed = self._log_chances(batch)
            total += float(functional.kl_div(changed, answers, reduction="sum"))
            samples += len(batch)
        own.write(kept)
        return max(0.0, _TEMPERATURE**2 * total / samples)

    @torch.no_grad()
    def _log_chances(self, batch: Tensor) -> Tensor:
        logits = self._network(batch).float()  # (N, classes)
        return functional.log_softmax(logits / _TEMPERATURE, dim=1)
