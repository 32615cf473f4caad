"""A small network that has learned something, a calibration batch, and hand-made tables."""

from functools import cache

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from mlgsearch.mlg.network import NetworkShape, network_shape
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.planning.layer.grid import Ranges
from mlgsearch.planning.moments import LayerMoments, layer_moments
from mlgsearch.planning.network_tables import Tables, build_tables
from mlgsearch.train.networks.models import build_model
from mlgsearch.train.spec import ModelSpec

#: Wide enough for every kind of setting, narrow enough to be quick.
RANGES = Ranges((1, 4), (1, 16), (2, 4), (2, 4), (2, 4))


def silent(done: int, total: int, note: str) -> None:
    """Tell nobody."""


@cache
def digits() -> tuple[Tensor, Tensor]:
    """All digits, normalised, (N, 1, 8, 8), and their labels."""
    found = load_digits()
    images = torch.tensor(found.images, dtype=torch.float32)[:, None]
    return (images - images.mean()) / images.std(), torch.tensor(found.target)


def batches() -> list[Tensor]:
    """A calibration batch in two parts."""
    return list(torch.split(digits()[0][:128], 64))


@cache
def trained() -> nn.Module:
    """A frozen resnet8 of width 8 that has had 60 steps on digits."""
    torch.set_num_threads(1)
    network = build_model(
        ModelSpec(width=8), classes=10, channels=1, image_size=(8, 8), seed=0
    ).train()
    images, labels = digits()
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    for step in range(60):
        at = torch.arange(64 * step, 64 * step + 64) % 1500
        optimiser.zero_grad()
        loss = functional.cross_entropy(network(images[at]), labels[at])
        torch.autograd.backward(loss)
        optimiser.step()
    return network.eval().requires_grad_(False)


@cache
def shape() -> NetworkShape:
    return network_shape(trained(), (1, 8, 8))


@cache
def moments() -> dict[str, LayerMoments]:
    return layer_moments(trained(), batches(), seed=0, report=silent)


@cache
def tables() -> Tables:
    return a_build()


@cache
def measured_tables() -> Tables:
    return a_build(measures=True)


def a_build(
    ranges: Ranges = RANGES,
    fixed: dict[str, LayerSetting] | None = None,
    check: int = 0,
    *,
    measures: bool = False,
) -> Tables:
    return build_tables(
        trained(),
        shape(),
        batches(),
        ranges,
        fixed=fixed or {},
        method="dorefa",
        refine_steps=3,
        check=check,
        seed=0,
        report=silent,
        measures=measures,
    )
