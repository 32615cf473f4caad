"""All factors of a network quantised in a few large operations instead of many small ones.

Small networks spend most of a training step in calls, and most of these quantise: a resnet8 has 25
factors, each of which takes some ten operations forward and as many backward.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from mlgsearch.mlg.factoring.parametrization import Mlg, parametrizations
from mlgsearch.mlg.quantise import SymmetricLsqQuantiser, quantise_symmetric


class FactorQuantiser:
    """Quantises all factors of a network at once, where its method can (``lsq_symmetric``).

    Build it anew after factors were replaced or moved.
    """

    def __init__(self, network: nn.Module) -> None:
        self._owners: list[tuple[Mlg, str]] = []
        self._latents: list[Tensor] = []
        self._quantisers: list[SymmetricLsqQuantiser] = []
        for latents, mlg in parametrizations(network):
            for latent, name in zip(latents, mlg.names, strict=True):
                quantiser = mlg.quantisers[name]
                # A class that inherits it and quantises otherwise is left to itself.
                if type(quantiser) is SymmetricLsqQuantiser:
                    self._owners.append((mlg, name))
                    self._latents.append(latent)
                    self._quantisers.append(quantiser)

    @contextmanager
    def quantised(self) -> Iterator[None]:
        """Quantise, and let every layer use what came out until the block ends.

        Values and gradients are those of quantising one by one. No factor may change inside the
        block; ``backward`` may be called in it or later.
        """
        if not self._owners:
            yield
            return
        values = quantise_symmetric(self._latents, self._quantisers)
        try:
            for (mlg, name), value in zip(self._owners, values, strict=True):
                mlg.ready[name] = value
            yield
        finally:
            for mlg, _ in self._owners:
                mlg.ready.clear()
