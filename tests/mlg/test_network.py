import json

import pytest
import torch
from torch import Tensor, nn

from mlgsearch.errors import SettingError
from mlgsearch.mlg.compress import compress
from mlgsearch.mlg.network import NetworkShape, network_shape, network_sizes
from mlgsearch.mlg.packing.packed import pack_network
from mlgsearch.mlg.setting import LayerSetting, LayerShape
from mlgsearch.mlg.uniform import uniform_settings


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.head = nn.Linear(8, 10)
        self.spare = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.stem(x))
        x = self.depthwise(self.depthwise(x))
        logits: Tensor = self.head(x.mean((-2, -1)))
        return logits


def test_a_shape_is_read_from_one_pass() -> None:
    shape = network_shape(Small(), (3, 8, 6))
    assert shape.layers == {
        "stem": LayerShape("conv", 8, 3, (3, 3), 1, out_positions=12, in_positions=48),
        "depthwise": LayerShape("conv", 8, 1, (3, 3), 8, out_positions=24, in_positions=24),
        "head": LayerShape("linear", 10, 8, out_positions=1, in_positions=1),
        "spare": LayerShape("linear", 2, 4, out_positions=0, in_positions=0),
    }
    assert shape.norm_parameters == shape.half_norm_parameters == 16
    assert shape.others == {"stem": 8, "head": 10, "spare": 2}
    assert shape.full_parameters == 216 + 72 + 80 + 8 + 16 + 20


def test_a_layer_may_be_called_by_keyword() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(8, 10)

        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = self.head(input=x)
            return logits

    assert network_shape(Named(), (2, 3, 8)).layers["head"].in_positions == 6


def test_every_kind_of_normalisation_counts() -> None:
    norms: list[nn.Module] = [
        nn.BatchNorm2d(8),
        nn.InstanceNorm2d(8, affine=True),
        nn.InstanceNorm2d(8),
        nn.GroupNorm(2, 8),
        nn.LayerNorm(8),
        nn.RMSNorm(8),
    ]
    assert network_shape(nn.Sequential(*norms), (8, 8, 8)).norm_parameters == 4 * 16 + 8


def test_modes_statistics_and_hooks_are_left_as_they_were() -> None:
    model = Small()
    model.norm.eval()
    network_shape(model, (3, 8, 8))
    assert model.training
    assert model.head.training
    assert not model.norm.training
    assert model.norm.num_batches_tracked == 0
    assert not model.stem._forward_hooks


def test_modes_and_hooks_are_restored_after_a_failure() -> None:
    model = Small()
    with pytest.raises(RuntimeError):
        network_shape(model, (4, 8, 8))
    assert model.training
    assert not model.stem._forward_hooks


def test_a_double_or_meta_model_is_read_alike() -> None:
    with torch.device("meta"):
        meta = Small()
    assert network_shape(meta, (3, 8, 8)) == network_shape(Small().double(), (3, 8, 8))


def test_a_shape_survives_json() -> None:
    shape = network_shape(Small(), (3, 8, 8))
    assert NetworkShape.from_dict(json.loads(json.dumps(shape.to_dict()))) == shape
    with pytest.raises(SettingError, match="expected the fields"):
        NetworkShape.from_dict({"layers": {}})


def test_sizes_by_hand() -> None:
    shape = network_shape(Small(), (3, 8, 8))
    settings = {
        "stem": LayerSetting(2, 4, 3, 6, 5),
        "depthwise": LayerSetting(1, 1, 4, 4, 4),
        "head": LayerSetting.plain(8),
        "spare": LayerSetting.plain(32),
    }
    sizes = network_sizes(shape, settings)
    stem = 4 * 2 * 9 * 3 + 4 * 3 * 2 * 6 + 8 * 4 * 5
    assert sizes.bits == stem + 72 * 4 + 80 * 8 + 8 * 32 + 16 * 32 + 20 * 32
    assert sizes.parameters == 72 + 24 + 32 + 72 + 80 + 8 + 16 + 20
    assert sizes.memory_ratio == sizes.bits / (32 * 412)
    assert sizes.parameter_ratio == sizes.parameters / 412
    assert sizes.generation_macs == 4 * 3 * 2 * 9 + 8 * 4 * 27
    level2 = 16 * 4 * (27 + 8)
    assert sizes.execution_macs == level2 + 32 * 72 + 80


def test_norms_are_counted_at_their_bits() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 1, bias=False), nn.BatchNorm2d(8), Own(2, 8))
    shape = network_shape(network, (3, 4, 4))
    assert (shape.norm_parameters, shape.half_norm_parameters) == (32, 16)
    settings = {"0": LayerSetting.plain(4)}
    assert network_sizes(shape, settings).bits == 24 * 4 + 32 * 32
    half = network_sizes(shape, settings, norm_bits=16)
    assert half.bits == 24 * 4 + 16 * 32 + 16 * 16
    assert half.memory_ratio == half.bits / (32 * 56)
    assert half.parameter_ratio == 1


class Own(nn.GroupNorm):
    """A norm of one's own, which stays at 32 bits."""


class Mixed(nn.Module):
    """Weights that are no module's ``weight``, and some that nothing compresses."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 32, 4, stride=4)
        self.place = nn.Parameter(torch.zeros(4, 32))
        self.attention = nn.MultiheadAttention(32, 4, batch_first=True)
        self.along = nn.Conv1d(32, 32, 3, padding=1)
        self.recurrent = nn.LSTM(32, 32, batch_first=True)
        self.norm = nn.LayerNorm(32)
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).mT + self.place  # (N, 4, 32)
        x = self.attention(x, x, x, need_weights=False)[0]
        x = self.recurrent(self.along(x.mT).mT)[0]
        logits: Tensor = self.head(self.norm(x.mean(1)))
        return logits


def test_every_parameter_counts() -> None:
    network = Mixed()
    shape = network_shape(network, (3, 8, 8))
    total = sum(parameter.numel() for parameter in network.parameters())
    assert shape.full_parameters == total
    assert {"patches", "attention.in_proj_weight", "attention.out_proj", "head"} < set(shape.layers)
    assert shape.head == "head"
    assert shape.others["attention"] == 3 * 32
    assert shape.others["recurrent"] == 2 * 4 * 32
    assert shape.others[""] == 4 * 32
    settings = uniform_settings(shape, (1, 4, 4, 4, 4))
    sizes = network_sizes(shape, settings)
    compress(network, settings)
    packed = pack_network(network.eval(), "dorefa")
    stored = sum(tensor.numel() * tensor.element_size() for tensor in packed.values())
    scales = 32 * 2 * 3 * len(settings)
    assert sizes.bits <= 8 * stored <= sizes.bits + scales


def test_what_is_not_compressed_is_named() -> None:
    said = network_shape(Mixed(), (3, 8, 8)).uncompressed()
    assert said is not None
    assert said.startswith("3.3% of this network's parameters are not compressed")
    assert said.endswith("most of them in recurrent, the network itself, attention and 4 more")
    assert network_shape(nn.Sequential(nn.Conv2d(3, 64, 3)), (3, 8, 8)).uncompressed() is not None
    plain = nn.Sequential(nn.Conv2d(3, 64, 3, bias=False))
    assert network_shape(plain, (3, 8, 8)).uncompressed() is None


def test_a_shared_parameter_counts_once() -> None:
    embedding = nn.Embedding(20, 8)
    network = nn.Sequential(nn.Linear(8, 20, bias=False))
    network.register_module("words", embedding)
    embedding.weight = network[0].weight  # type: ignore[assignment]
    network.forward = lambda x: nn.functional.linear(x, embedding.weight)  # type: ignore[method-assign]
    assert network_shape(network, (1, 1, 8)).full_parameters == 160


def test_full_precision_is_the_unit() -> None:
    shape = network_shape(Small(), (3, 8, 8))
    sizes = network_sizes(shape, dict.fromkeys(shape.layers, LayerSetting.plain(32)))
    assert (sizes.parameter_ratio, sizes.memory_ratio, sizes.generation_macs) == (1.0, 1.0, 0)


def test_unknown_and_missing_names_are_refused() -> None:
    shape = network_shape(Small(), (3, 8, 8))
    settings = dict.fromkeys(shape.layers, LayerSetting.plain(8))
    with pytest.raises(SettingError, match="called 'haed', did you mean 'head'"):
        network_sizes(shape, {**settings, "haed": LayerSetting.plain(8)})
    settings.pop("stem")
    with pytest.raises(SettingError, match="'stem' has no setting"):
        network_sizes(shape, settings)
    with pytest.raises(SettingError, match=r"'stem' \(and 3 more\) has no setting"):
        network_sizes(shape, {})


def test_a_setting_at_fault_is_told_with_its_layer() -> None:
    shape = network_shape(Small(), (3, 8, 8))
    settings = dict.fromkeys(shape.layers, LayerSetting.plain(8))
    with pytest.raises(SettingError, match=r"'stem': .*level 1 exists"):
        network_sizes(shape, {**settings, "stem": LayerSetting(2, 0, 8, 0, 0)})
