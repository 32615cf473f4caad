"""A class and a line in the table of kinds, and a module of one's own is compressed."""

from collections.abc import Mapping, Sequence

import pytest
import torch
from torch import Tensor, nn

from mlgsearch.mlg import kinds
from mlgsearch.mlg.compress import compress
from mlgsearch.mlg.kinds import Kind, Traffic, compressible_layers
from mlgsearch.mlg.network import network_shape, network_sizes
from mlgsearch.mlg.packing.packed import pack_network, settings_of, unpack_network
from mlgsearch.mlg.setting import LayerSetting, LayerShape


class Scaled(nn.Module):
    """A matrix product with a gain: no module that torch has."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.weight = nn.Parameter(torch.randn(width, width))
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.gain * (x @ self.weight.T)


class _ScaledKind(Kind):
    """``Scaled``; level 2."""

    modules = (Scaled,)

    def shapes(self, module: nn.Module) -> Mapping[str, LayerShape]:
        assert isinstance(module, Scaled)
        return {"weight": LayerShape("linear", module.width, module.width)}

    def traffic(
        self, module: nn.Module, inputs: Sequence[Tensor], output: Tensor
    ) -> Mapping[str, Traffic]:
        return {"weight": (len(inputs[0]), len(output))}


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), Scaled(24), nn.ReLU(), nn.Linear(24, 3))


def test_it_is_named_counted_compressed_packed_and_unpacked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert list(compressible_layers(network())) == ["3"]
    monkeypatch.setattr(kinds, "KINDS", (*kinds.KINDS, _ScaledKind()))
    shape = network_shape(network(), (1, 4, 6))
    assert list(shape.layers) == ["1", "3"]
    settings = {
        name: LayerSetting(0, 4, 4, 0, 4).canonical(layer) for name, layer in shape.layers.items()
    }
    assert network_sizes(shape, settings).memory_ratio < 0.2
    student = network()
    compress(student, settings)
    gain = next(each for name, each in student.named_parameters() if name == "1.gain")
    images = torch.randn(5, 1, 4, 6)
    student(images).square().sum().backward()
    assert gain.grad is not None
    unpacked = network()
    unpack_network(unpacked, settings_of(student), "dorefa", pack_network(student, "dorefa"))
    assert torch.equal(unpacked.eval()(images), student.eval()(images))
