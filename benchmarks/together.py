"""Several students of one architecture trained as one network, beside one after another.

    python benchmarks/together.py [--threads N]

The students' convolutions become one grouped convolution and their batch-norms one of more
channels; their factors are quantised together. Both ways take the same steps on the same images.
Figures are processor time per student and step, the least of several, so that other work on the
machine counts little. The residual networks of `mlgsearch.train.networks.residual` alone.
"""

import argparse
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from mlgsearch.mlg.compress import compress
from mlgsearch.mlg.network import network_shape
from mlgsearch.mlg.quantise_together import FactorQuantiser
from mlgsearch.mlg.uniform import uniform_settings
from mlgsearch.train.loop.optim import build_optimiser
from mlgsearch.train.networks.residual import CifarResNet, ResidualBlock
from mlgsearch.train.spec import OptimiserSpec

CLASSES = 10


def student(blocks: int, width: int, channels: int, seed: int) -> tuple[CifarResNet, Optimizer]:
    """Return a student, compressed to few bits and a number of bases of its own."""
    torch.manual_seed(seed)
    network = CifarResNet(blocks, width=width, classes=CLASSES, channels=channels, head_bias=True)
    shape = network_shape(network, (channels, 32, 32))
    settings = uniform_settings(shape, (1, 6 + seed, 2, 2, 2), head_bits=4)
    errors = compress(network, settings, method="lsq_symmetric")
    return network.train(), build_optimiser(
        network, OptimiserSpec(optimiser="relative_adamw"), errors
    )


def forward(networks: Sequence[CifarResNet], images: Tensor) -> Tensor:
    """Return the logits of all networks, (networks, B, classes), for (B, channels, H, W)."""

    def convolve(layers: Sequence[nn.Module], x: Tensor) -> Tensor:
        first = layers[0]
        assert isinstance(first, nn.Conv2d)
        weight = torch.cat([layer.weight for layer in layers])  # type: ignore[misc]
        stride, padding = first.stride, first.padding
        return functional.conv2d(x, weight, None, stride, padding, 1, len(layers))

    def normalise(norms: Sequence[nn.Module], x: Tensor) -> Tensor:
        weight, bias = (
            torch.cat([getattr(norm, name) for norm in norms]) for name in ("weight", "bias")
        )
        return functional.batch_norm(x, None, None, weight, bias, training=True)

    def block(blocks: Sequence[ResidualBlock], x: Tensor) -> Tensor:
        out = convolve([b.conv1 for b in blocks], x)
        out = functional.relu(normalise([b.bn1 for b in blocks], out), inplace=True)
        out = normalise([b.bn2 for b in blocks], convolve([b.conv2 for b in blocks], out))
        shortcuts = [b.shortcut for b in blocks]
        if all(isinstance(shortcut, nn.Sequential) for shortcut in shortcuts):
            convolutions, norms = zip(*(shortcut.children() for shortcut in shortcuts), strict=True)
            x = normalise(norms, convolve(convolutions, x))
        return functional.relu(out + x, inplace=True)

    out = convolve([n.conv1 for n in networks], images.repeat(1, len(networks), 1, 1))
    out = functional.relu(normalise([n.bn1 for n in networks], out), inplace=True)
    for stage in ("layer1", "layer2", "layer3"):
        for blocks in zip(*(getattr(n, stage) for n in networks), strict=True):
            out = block(blocks, out)
    pooled = out.mean((2, 3)).reshape(len(images), len(networks), -1).transpose(0, 1)
    heads = torch.stack([n.fc.weight for n in networks])
    biases = torch.stack([n.fc.bias for n in networks])
    return torch.baddbmm(biases[:, None], pooled, heads.mT)


def least_seconds(step: Callable[[], None], repeats: int) -> float:
    """Return the least processor time of a step."""
    found = []
    for _ in range(repeats):
        began = time.process_time()
        step()
        found.append(time.process_time() - began)
    return min(found)


def measure(
    name: str, blocks: int, width: int, images: Tensor, count: int, repeats: int, *, bfloat16: bool
) -> None:
    """Print what a step takes in either way."""
    layout = torch.channels_last if images.shape[1] > 1 else torch.contiguous_format
    networks, optimisers = zip(
        *(student(blocks, width, images.shape[1], seed) for seed in range(count)), strict=True
    )
    together = nn.ModuleList(networks).to(memory_format=layout)
    images = images.contiguous(memory_format=layout)
    labels = torch.arange(len(images)) % CLASSES
    each = [FactorQuantiser(network) for network in networks]
    all_factors = FactorQuantiser(together)

    def one_by_one() -> None:
        for network, optimiser, factors in zip(networks, optimisers, each, strict=True):
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16), factors.quantised():
                logits = network(images)
            optimiser.zero_grad(set_to_none=False)
            functional.cross_entropy(logits.float(), labels).backward()  # type: ignore[no-untyped-call]
            optimiser.step()

    def as_one() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16), all_factors.quantised():
            logits = forward(networks, images).float()
        for optimiser in optimisers:
            optimiser.zero_grad(set_to_none=False)
        loss = functional.cross_entropy(logits.flatten(0, 1), labels.repeat(count))
        (loss * count).backward()  # type: ignore[no-untyped-call]
        for optimiser in optimisers:
            optimiser.step()

    with torch.no_grad(), all_factors.quantised():
        torch.testing.assert_close(
            forward(networks, images),
            torch.stack([n(images) for n in networks]),
            rtol=1e-3,
            atol=1e-3,
        )
    alone, grouped = (1e3 * least_seconds(s, repeats) / count for s in (one_by_one, as_one))
    kind = "bfloat16" if bfloat16 else "float32"
    print(f"{name}, {kind}, {count} students: {alone:.1f} ms alone, {grouped:.1f} ms as one")


def main() -> None:
    """Measure digits' small network and the one of CIFAR-10."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    torch.set_num_threads(parser.parse_args().threads)
    digits, cifar10 = torch.randn(64, 1, 8, 8), torch.randn(128, 3, 32, 32)
    for count in (2, 4, 8):
        measure("resnet8, 8x8", 1, 8, digits, count, 30, bfloat16=False)
    for bfloat16 in (False, True):
        for count in (2, 4):
            measure("resnet20, 32x32", 3, 16, cifar10, count, 6, bfloat16=bfloat16)


if __name__ == "__main__":
    main()
