import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from mlgsearch.mlg.activations import trace_activations
from mlgsearch.train.networks.models import build_model, build_without_memory
from mlgsearch.train.spec import ModelSpec
from tests.mlg.live_storage import live_bytes

NETWORKS = [
    ("resnet8", 1, 8),
    ("resnet20", 3, 32),
    ("chain8", 3, 32),
    ("resnet18", 3, 32),
    ("densenet121", 3, 32),
    ("mobilenet_v2", 3, 32),
]


@pytest.mark.parametrize(("name", "channels", "side"), NETWORKS)
def test_the_peak_is_what_a_real_pass_holds(name: str, channels: int, side: int) -> None:
    spec, shape = ModelSpec(name=name), (channels, side, side)
    network = build_model(spec, classes=10, channels=channels, image_size=(side, side))
    found = trace_activations(network, shape)
    assert found.peak_bytes({}) == live_bytes(network, shape, {})
    in_bits = {layer: (4, 6, 8, 32)[i % 4] for i, layer in enumerate(sorted(found.layers))}
    assert found.peak_bytes(in_bits) == live_bytes(network, shape, in_bits)
    eight = dict.fromkeys(found.layers, 8)
    assert found.peak_bytes(eight) == live_bytes(network, shape, eight)
    assert found.peak_bytes(eight) <= found.peak_bytes({})
    planned = build_without_memory(spec, classes=10, channels=channels, image_size=(side, side))
    assert trace_activations(planned, shape) == found


class Residual(nn.Module):
    """Two convolutions of one size, the second beside a residual connection."""

    def __init__(self, *, is_residual: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.third = nn.Conv2d(4, 4, 3, padding=1)
        self.is_residual = is_residual

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.first(x))
        out = self.third(functional.relu(self.second(x)))
        summed: Tensor = out + x if self.is_residual else out
        return summed


def test_a_residual_connection_is_held_and_read_at_full_precision() -> None:
    plain, residual = (
        trace_activations(Residual(is_residual=is_residual), (1, 8, 8))
        for is_residual in (False, True)
    )
    size = 4 * 64  # numbers of a value behind the first layer
    assert plain.peak_bytes({}) == 2 * size * 4
    assert residual.peak_bytes({}) == 3 * size * 4
    eight = dict.fromkeys(("first", "second", "third"), 8)
    assert plain.layers == {"first", "second", "third"}
    assert plain.peak_bytes(eight) == size * (1 + 4)
    assert residual.peak_bytes(eight) == size * (4 + 1 + 4)
    assert plain.peak_bytes({**eight, "third": 3}) == max(size * (1 + 3 / 8), size * (3 / 8 + 4))
    assert max(plain.bytes_by_step(eight)) == plain.peak_bytes(eight)


def test_modes_stay_as_they_were() -> None:
    layer, norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)
    network = nn.Sequential(layer, norm, nn.Flatten(), nn.Linear(144, 2))
    norm.eval()
    trace_activations(network, (1, 8, 8))
    assert (network.training, norm.training) == (True, False)
    assert not layer._forward_hooks
    assert not layer._forward_pre_hooks
    assert norm.running_mean is not None
    assert torch.equal(norm.running_mean, torch.zeros(4))
