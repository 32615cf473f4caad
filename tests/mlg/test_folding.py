from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm

from mlgsearch.mlg.compress import compress
from mlgsearch.mlg.folding import fold
from mlgsearch.mlg.kinds import compressible_layers
from mlgsearch.mlg.setting import LayerSetting


def plain() -> nn.Conv2d:
    return nn.Conv2d(3, 8, 3)


def old_weight_norm(layer: nn.Module) -> nn.Module:
    with pytest.warns(FutureWarning, match="weight_norm"):
        return nn.utils.weight_norm(layer)


WAYS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "weight norm": parametrizations.weight_norm,
    "spectral norm": parametrizations.spectral_norm,
    "orthogonal": parametrizations.orthogonal,
    "weight norm as a hook": old_weight_norm,
    "spectral norm as a hook": spectral_norm,
}


@pytest.mark.parametrize("way", WAYS)
def test_what_is_computed_becomes_the_weight(way: str) -> None:
    layer = WAYS[way](plain())
    network, images = nn.Sequential(layer, nn.Dropout()), torch.randn(2, 3, 8, 8)
    network.train()(images)
    network[1].eval()
    expected = network.eval()(images)
    network.train()
    network[1].eval()
    fold(network)
    assert [module.training for module in network.modules()] == [True, True, False]
    assert {name for name, _ in network.named_parameters()} == {"0.weight", "0.bias"}
    assert not dict(network.named_buffers())
    assert type(layer) is nn.Conv2d
    torch.testing.assert_close(network.eval()(images), expected)
    compress(network, {"0": LayerSetting(1, 2, 4, 4, 4)})
    assert network(images).shape == (2, 8, 6, 6)


def test_a_copy_is_folded_by_itself() -> None:
    """A transformer is built of copies of one layer, which share the class parametrize made."""
    one = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0)
    parametrizations.weight_norm(one.linear1)
    network = nn.TransformerEncoder(one, 2)
    tokens = torch.randn(2, 5, 8)
    expected = network(tokens)
    fold(network)
    torch.testing.assert_close(network(tokens), expected)
    assert {"layers.0.linear1", "layers.1.linear1"} < set(compressible_layers(network))
    assert one.linear1.weight.shape == (16, 8), "the one that was copied is whole"


def test_meta_is_folded_too() -> None:
    with torch.device("meta"):
        network = parametrizations.weight_norm(plain())
    fold(network)
    assert network.weight.shape == (8, 3, 3, 3)


def test_a_weight_that_is_computed_otherwise_is_left_out() -> None:
    layer = parametrizations.weight_norm(plain())
    assert compressible_layers(layer) == {}
