"""What flows through a trained network on a calibration batch: the metric of a layer's errors.

A weight's error E changes a convolution's output at one position by ``sum_p E[:, :, p] x_p``, with
``x_p`` the input channels at kernel position p. The mean of its square is taken with the second
moment of the channels at one position, the same for all p and without correlation between them
(the Kronecker product of the moment with the identity): for a 3x3 layer of 512 channels the whole
moment would be 4608 x 4608.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mlgsearch.mlg.network import compressible_layers, layer_shape

#: Positions that one batch gives to a layer's moment at most; they are evenly spaced.
_POSITIONS = 16_384

#: Told of the work's progress: batches (or layers) done, their total, a short note.
Report = Callable[[int, int, str], None]


@dataclass(frozen=True, eq=False)
class LayerMoments:
    """What a calibration batch gives for one layer.

    ``channels`` is E[x x^T] over samples and positions, (groups, C_in, C_in) float64. ``gradient``
    is the mean over samples of the squared gradient of the network's loss in the layer's output,
    summed over positions and divided by C_out; labels are drawn from the network's own
    predictions, so it is a Fisher estimate.
    """

    channels: Tensor
    gradient: float


def layer_moments(
    network: nn.Module, batches: Sequence[Tensor], *, seed: int, report: Report
) -> dict[str, LayerMoments]:
    """Run a trained network forwards and backwards over a few batches.

    The network is in eval mode meanwhile and as it was afterwards; its weights may be frozen. A
    layer that is not reached has the identity and no gradient.

    Args:
        network: gives logits.
        batches: normalised images, each (N, C, H, W); in channels_last it takes half the time.
        seed: draws the labels.
        report: told of each batch.
    """
    layers = compressible_layers(network)
    device = next(network.parameters()).device
    collected = {name: _Collected.of(module) for name, module in layers.items()}
    generator = torch.Generator().manual_seed(seed)
    with _in_eval_mode(network), _collecting(layers, collected):
        for done, batch in enumerate(batches):
            report(done, len(batches), "calibration")
            # Frozen weights make no graph; the images' own gradient does.
            images = batch.to(device).requires_grad_()
            with torch.enable_grad():
                logits = network(images)
                chances = functional.softmax(logits.detach().cpu(), dim=1)
                labels = torch.multinomial(chances, 1, generator=generator)[:, 0]
                # Summed, so that each sample's gradient is that of its own loss.
                loss = functional.cross_entropy(logits, labels.to(device), reduction="sum")
            torch.autograd.grad(loss, images)
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
    def of(cls, module: nn.Conv2d | nn.Linear) -> "_Collected":
        shape = layer_shape(module)
        zero = torch.zeros(shape.groups, shape.c_in, shape.c_in, dtype=torch.float64)
        return cls(zero, 0, 0.0, shape.c_out)

    def add(self, inputs: Tensor, *, is_linear: bool) -> None:
        """Add inputs of shape (N, C, H, W), or (..., C) of a linear layer."""
        groups, c_in, _ = self.products.shape
        vectors = inputs.detach()
        if not is_linear:
            vectors = vectors.movedim(-3, -1)  # (N, H, W, C)
        vectors = vectors.reshape(-1, groups, c_in)  # a view, of images in channels_last
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
def _in_eval_mode(network: nn.Module) -> Iterator[None]:
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, was_training in modes.items():
            module.training = was_training


@contextmanager
def _collecting(
    layers: dict[str, nn.Conv2d | nn.Linear], collected: dict[str, _Collected]
) -> Iterator[None]:
    """Collect the inputs and the outputs' gradients of all layers meanwhile."""
    handles = []
    for name, module in layers.items():

        def collect(
            module: nn.Module,
            args: tuple[Tensor, ...],
            named: dict[str, Tensor],
            output: Tensor,
            name: str = name,
        ) -> None:
            found = collected[name]
            (inputs,) = (*args, *named.values())
            found.add(inputs, is_linear=isinstance(module, nn.Linear))

            def add_gradient(gradient: Tensor) -> None:
                found.squared_gradient += float(torch.linalg.vector_norm(gradient)) ** 2

            if output.requires_grad:
                output.register_hook(add_gradient)  # type: ignore[no-untyped-call]

        handles.append(module.register_forward_hook(collect, with_kwargs=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
