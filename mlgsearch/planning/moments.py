"""What flows through a trained network on a calibration batch: the metric of a layer's errors.

A weight's error E changes a convolution's output at one position by ``sum_p E[:, :, p] x_p``, with
``x_p`` the input channels at kernel position p. The mean of its square is taken with the second
moment of the channels at one position, the same for all p and without correlation between them
(the Kronecker product of the moment with the identity): for a 3x3 layer of 512 channels the whole
moment would be 4608 x 4608.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mlgsearch.mlg.kinds import Layer, compressible_layers, kind_of, tensors_of
from mlgsearch.mlg.running.eval_mode import in_eval_mode
from mlgsearch.mlg.running.hooks import hooked
from mlgsearch.mlg.setting import LayerShape
from mlgsearch.planning.answers import ANSWERS, OutputKind

#: Positions that one batch gives to a layer's moment at most; they are evenly spaced.
_POSITIONS = 16_384

#: Told of the work's progress: batches (or layers) done, their total, a short note.
Report = Callable[[int, int, str], None]


@dataclass(frozen=True, eq=False)
class LayerMoments:
    """What a calibration batch gives for one layer.

    ``channels`` is E[x x^T] over samples and positions, (groups, C_in, C_in) float64. ``gradient``
    is the mean over samples of the squared gradient of the network's loss in the layer's output,
    summed over positions and divided by C_out; targets are drawn from the network's own
    predictions, so it is a Fisher estimate.
    """

    channels: Tensor
    gradient: float


def layer_moments(
    network: nn.Module,
    batches: Sequence[Tensor],
    *,
    seed: int,
    report: Report,
    outputs: OutputKind = "classes",
) -> dict[str, LayerMoments]:
    """Run a trained network forwards and backwards over a few batches.

    The network is in eval mode meanwhile and as it was afterwards; its weights may be frozen. A
    layer that is not reached has no gradient; one whose inputs are not seen has the identity.

    Args:
        network: the trained one.
        batches: normalised images, each (N, C, H, W); in channels_last it takes half the time.
        seed: draws the targets.
        report: called with each batch.
        outputs: what the network returns.
    """
    layers = compressible_layers(network)
    device = next(network.parameters()).device
    collected = {name: _Collected.of(layer.shape) for name, layer in layers.items()}
    generator = torch.Generator().manual_seed(seed)
    with in_eval_mode(network), _collecting(layers, collected) as beginnings:
        for done, batch in enumerate(batches):
            report(done, len(batches), "calibration")
            # Frozen weights make no graph: the images' own gradient does, and what words become.
            images = batch.to(device).requires_grad_()
            with torch.enable_grad():
                loss = ANSWERS[outputs].loss(network(images), generator)
            torch.autograd.grad(loss, [images, *beginnings], allow_unused=True)
            beginnings.clear()
    report(len(batches), len(batches), "calibration")
    samples = sum(len(batch) for batch in batches)
    return {name: found.moments(samples) for name, found in collected.items()}


@dataclass(eq=False)
class _Collected:
    """Sums over the batches so far."""

    products: Tensor  # (groups, C_in, C_in)
    positions: int
    squared_gradient: float
    c_out: int

    @classmethod
    def of(cls, shape: LayerShape) -> "_Collected":
        zero = torch.zeros(shape.groups, shape.c_in, shape.c_in, dtype=torch.float64)
        return cls(zero, 0, 0.0, shape.c_out)

    def add(self, vectors: Tensor) -> None:
        """Add what the weight is multiplied with, (..., groups*C_in)."""
        groups, c_in, _ = self.products.shape
        vectors = vectors.detach().reshape(-1, groups, c_in)  # a view, of images in channels_last
        vectors = vectors[:: max(1, len(vectors) // _POSITIONS)].movedim(0, 1)  # (G, P, C_in)
        self.products += (vectors.mT @ vectors).to("cpu", torch.float64)
        self.positions += vectors.shape[1]

    def moments(self, samples: int) -> LayerMoments:
        groups, c_in, _ = self.products.shape
        channels = self.products / max(1, self.positions)
        if not channels.any():  # not reached, or nothing but zeros comes in
            channels = torch.eye(c_in, dtype=torch.float64).expand(groups, -1, -1)
        return LayerMoments(channels, self.squared_gradient / samples / self.c_out)


@contextmanager
def _collecting(
    layers: Mapping[str, Layer], collected: Mapping[str, _Collected]
) -> Iterator[list[Tensor]]:
    """Collect the inputs and the outputs' gradients of all layers meanwhile.

    Where a layer's own output is not seen, as of attention's projections, it is its module's. The
    outputs that no gradient of the images reaches are yielded, for the graph begins there again.
    """
    beginnings: list[Tensor] = []
    places = {
        (place, parameter): collected[name]
        for name, layer in layers.items()
        for place, parameter in ((layer.module, layer.parameter), *layer.tied)
    }

    def collect(
        module: nn.Module, args: tuple[Any, ...], named: dict[str, Any], output: Any
    ) -> None:
        kind = kind_of(module)
        assert kind is not None
        inputs, result = list(tensors_of(*args, *named.values())), next(tensors_of(output))
        for parameter, vectors in kind.vectors(module, inputs).items():
            if (module, parameter) in places:
                places[module, parameter].add(vectors)
        reached = [
            places[place]
            for path in kind.traffic(module, inputs, result)
            if (place := _place(module, path)) in places
        ]

        def add_gradient(gradient: Tensor) -> None:
            square = float(torch.linalg.vector_norm(gradient)) ** 2
            for found in reached:
                found.squared_gradient += square

        if torch.is_grad_enabled() and not result.requires_grad:
            beginnings.append(result.requires_grad_())
        if result.requires_grad:
            result.register_hook(add_gradient)  # type: ignore[no-untyped-call]

    with hooked(dict.fromkeys(place for place, _ in places), collect, with_kwargs=True):
        yield beginnings


def _place(module: nn.Module, path: str) -> tuple[nn.Module, str]:
    child, _, parameter = path.rpartition(".")
    return module.get_submodule(child), parameter
