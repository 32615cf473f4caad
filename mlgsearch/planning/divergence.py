"""How far a network's answers move when one of its layers alone is compressed.

Damage looks at a layer's own output. What becomes of it depends on the layer's place: a residual
branch may be lost and the shortcut still carries the signal, while a head of rank two cannot name
ten classes. So the answers are measured, layer by layer.
"""

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mlgsearch.mlg.kinds import compressible_layers
from mlgsearch.planning.answers import ANSWERS, OutputKind

#: Images that may go through the network in all, for all layers; a deep one is measured on one
#: batch. A plan from 64 images costs up to 0.1 % more than one from 256 (resnet8 on digits).
MOST_IMAGES = 10_000


class Divergence:
    """Measures by a copy of a trained network, which is left as it was.

    Batch-norm uses the statistics of each batch, in the network as in what it is compared with:
    a student's statistics are estimated anew before it is trained.

    Args of the constructor:
        network: the trained one.
        batches: normalised images, each (N, C, H, W), N at least 2; the first ones are used, so
            many that ``measurements`` fit into ``MOST_IMAGES``, but at least one.
        measurements: how often `at` will be called.
        outputs: what the network returns.
    """

    def __init__(
        self,
        network: nn.Module,
        batches: Sequence[Tensor],
        measurements: int,
        outputs: OutputKind = "classes",
    ) -> None:
        self._network = deepcopy(network).eval().requires_grad_(False)
        for module in self._network.modules():
            if isinstance(module, _BatchNorm):
                module.train()
        device = next(self._network.parameters()).device
        count = max(1, MOST_IMAGES // max(1, measurements * len(batches[0])))
        self._batches = [batch.to(device) for batch in batches[:count]]
        self._layers = compressible_layers(self._network)
        self._kind = ANSWERS[outputs]
        self._answers = [self._kind.reference(self._outputs(batch)) for batch in self._batches]

    @torch.no_grad()
    def at(self, layer: str, weight: Tensor) -> float:
        """Return the mean divergence with another (C_out, C_in, ...) of one layer; larger is worse.

        It is the distance of its kind of outputs (see ``answers``), a mean over images; of classes
        T**2 * KL(network || changed network) in nats at temperature T.
        """
        own = self._layers[layer]
        kept = own.canonical_weight.detach().clone()
        own.write(weight)
        total = samples = 0.0
        for batch, answers in zip(self._batches, self._answers, strict=True):
            total += self._kind.distance(self._outputs(batch), answers)
            samples += len(batch)
        own.write(kept)
        return max(0.0, total / samples)

    @torch.no_grad()
    def _outputs(self, batch: Tensor) -> Tensor:
        outputs: Tensor = self._network(batch).float()
        return outputs
