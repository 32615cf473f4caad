"""What quantised inputs do to a layer: measured on calibration images, for each number of bits."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mlgsearch.mlg.input_quantiser import InBits, InputQuantiser
from mlgsearch.mlg.running.eval_mode import in_eval_mode
from mlgsearch.mlg.running.hooks import hooked
from mlgsearch.mlg.running.layer import quantisable_places

#: By layer, then by bits.
Noise = Mapping[str, Mapping[int, float]]


@torch.no_grad()
def input_noise(
    network: nn.Module, batches: Sequence[Tensor], choices: Sequence[InBits]
) -> dict[str, dict[int, float]]:
    """Measure the noise of each layer's input quantiser, as damage is measured of its weight.

    It is the energy of the error of the layer's output, without its bias, as a fraction of the
    output's own: 0 is unharmed, 1 as bad as no output at all. Each batch is quantised over its own
    range, as the first batch of a training is. Layers whose inputs cannot be quantised are left
    out; the network is in eval mode meanwhile.

    Args:
        network: trained, and not compressed.
        batches: normalised images, each (N, C, H, W).
        choices: numbers of bits; 32 does nothing.
    """
    layers = quantisable_places(network)
    energies = dict.fromkeys(layers.values(), 0.0)
    errors = {name: dict.fromkeys(choices, 0.0) for name in energies}

    def measure(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        name = layers[module]
        bias = getattr(module, "bias", None)
        if bias is not None:
            channels = 1 if isinstance(module, nn.modules.conv._ConvNd) else -1
            shape = [1] * output.ndim
            shape[channels] = -1
            energies[name] += float((output - bias.view(shape)).square().sum())
        else:
            energies[name] += float(output.square().sum())
        for bits in choices:
            if bits != 32:
                quantiser = InputQuantiser(bits).to(output.device)  # it takes the batch's range
                changed = module.forward(quantiser(args[0]))
                errors[name][bits] += float((changed - output).square().sum())

    device = next(network.parameters()).device
    with hooked(layers, measure), in_eval_mode(network):
        for batch in batches:
            network(batch.to(device))
    return {
        name: {
            bits: error / energies[name] if energies[name] else 0.0 for bits, error in by.items()
        }
        for name, by in errors.items()
    }
