"""What every kind of layer must do."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from mlgsearch.mlg.compress import compress, densify
from mlgsearch.mlg.half_norm import NormBits
from mlgsearch.mlg.input_quantiser import InBits
from mlgsearch.mlg.kinds import compressible_layers
from mlgsearch.mlg.network import NetworkShape, network_shape, network_sizes
from mlgsearch.mlg.packing.packed import pack_network, settings_of, unpack_network
from mlgsearch.mlg.packing.packed_slot import packed_slots, stream_shapes
from mlgsearch.mlg.penalty import Orthonormality
from mlgsearch.mlg.running.generation import generated_once
from mlgsearch.mlg.setting import LayerSetting
from tests.mlg.kind_networks import IMAGE, KIND_NETWORKS, kind_network
from tests.mlg.students import factors

KINDS = list(KIND_NETWORKS)
FEW = LayerSetting(1, 2, 5, 6, 4)


def few(network: nn.Module, setting: LayerSetting = FEW) -> dict[str, LayerSetting]:
    """Return a setting with few bases for every layer."""
    return {
        name: setting.canonical(layer.shape) for name, layer in compressible_layers(network).items()
    }


def a_student(kind: str, norm_bits: NormBits = 32, in_bits: InBits = 32) -> nn.Module:
    network = kind_network(kind)
    compress(network, few(network), norm_bits=norm_bits, in_bits=in_bits)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    network.train()(images())  # input quantisers see something
    return network.eval()


def images() -> Tensor:
    return torch.randn(5, *IMAGE, generator=torch.Generator().manual_seed(1))


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def shape_of(kind: str) -> NetworkShape:
    return network_shape(kind_network(kind), IMAGE)


def test_its_weights_are_found_and_reached(kind: str) -> None:
    shape = shape_of(kind)
    assert set(shape.layers) == {*KIND_NETWORKS[kind][1], "head"}
    assert shape.head == "head"
    assert all(layer.out_positions > 0 for layer in shape.layers.values())
    network = kind_network(kind)
    assert shape.full_parameters == sum(p.numel() for p in network.parameters())
    for name, layer in compressible_layers(network).items():
        assert layer.weight.shape == layer.shape.weight_shape, name
        assert layer.canonical_weight.shape == layer.shape.canonical_shape


def test_writing_a_canonical_weight_is_reading_it(kind: str) -> None:
    network = kind_network(kind)
    for layer in compressible_layers(network).values():
        before = layer.weight.detach().clone()
        layer.write(layer.canonical_weight.detach().clone())
        assert torch.equal(layer.weight, before)


def test_full_precision_changes_nothing(kind: str) -> None:
    network = kind_network(kind).eval()
    expected = network(images())
    compress(network, few(network, LayerSetting.plain(32)))
    assert factors(network) == {}
    torch.testing.assert_close(network(images()), expected)


def test_a_weight_of_low_rank_is_kept(kind: str) -> None:
    network = kind_network(kind).eval()
    for layer in compressible_layers(network).values():
        weight = layer.canonical_weight.detach()
        left, values, right = torch.linalg.svd(weight.flatten(1), full_matrices=False)
        layer.write(((left[:, :2] * values[:2]) @ right[:2]).reshape(weight.shape))
    expected = network(images())
    settings = few(network, LayerSetting(0, 2, 32, 0, 32))
    errors = compress(network, settings)
    assert any(setting.base_out for setting in settings.values())
    assert max(errors.values()) < 1e-5
    torch.testing.assert_close(network(images()), expected, rtol=1e-3, atol=1e-4)


def test_every_factor_is_trained(kind: str) -> None:
    network = kind_network(kind).requires_grad_(False)
    compress(network, few(network))
    assert set(factors(network)) == set(compressible_layers(network))
    network.train()
    latents = [p for p in network.parameters() if p.requires_grad]
    assert latents
    before = [latent.detach().clone() for latent in latents]
    optimiser = torch.optim.SGD(latents, lr=0.1)
    loss = network(images()).square().mean() + 0.01 * Orthonormality(network)()
    loss.backward()
    assert all(latent.grad is not None for latent in latents)
    optimiser.step()
    moved = [not torch.equal(a, b) for a, b in zip(before, latents, strict=True)]
    assert all(moved)
    assert torch.isfinite(network(images())).all()


def test_a_tied_weight_is_one() -> None:
    network = kind_network("tied")
    compress(network, few(network))
    inside = network.get_submodule
    first, second = inside("kind.first"), inside("kind.second")
    assert torch.equal(first.weight, second.weight)  # type: ignore[arg-type]
    network(images()).sum().backward()
    names = [name for name, _ in network.named_parameters()]
    assert not any("second.parametrizations" in name or "back" in name for name in names)
    plain = densify(network)
    for one, other in (("first", "second"), ("words", "back")):
        weights = [plain.get_parameter(f"kind.{name}.weight") for name in (one, other)]
        assert weights[0] is weights[1]
    counted = network_sizes(shape_of("tied"), settings_of(network))
    assert counted.bits < 32 * sum(p.numel() for p in kind_network("tied").parameters()) / 2


@torch.no_grad()
def test_a_dense_copy_gives_the_same(kind: str) -> None:
    student = a_student(kind)
    plain = densify(student)
    own = {type(module) for module in kind_network(kind).modules()}
    assert {type(module) for module in plain.modules()} == own
    torch.testing.assert_close(plain(images()), student(images()), rtol=1e-4, atol=1e-5)
    kind_network(kind).load_state_dict(plain.state_dict())


@torch.no_grad()
def test_a_deep_copy_stands_alone(kind: str) -> None:
    student = a_student(kind)
    expected = student(images())
    copied = deepcopy(student)
    for parameter in copied.parameters():
        parameter.zero_()
    assert torch.equal(student(images()), expected)


@torch.no_grad()
def test_a_state_is_loaded_into_a_skeleton(kind: str) -> None:
    student, skeleton = a_student(kind), kind_network(kind)
    compress(skeleton, settings_of(student), projects=False)
    skeleton.load_state_dict(student.state_dict())
    assert torch.equal(skeleton.eval()(images()), student(images()))


@torch.no_grad()
def test_weights_that_are_generated_once_are_the_same(kind: str) -> None:
    student = a_student(kind)
    expected = student(images())
    with generated_once(student):
        assert torch.equal(student(images()), expected)
        assert torch.equal(student(images()), expected)


@pytest.mark.parametrize(("norm_bits", "in_bits"), [(32, 32), (16, 32), (16, 8)])
@torch.no_grad()
def test_a_packed_student_gives_the_same_bits(
    kind: str, norm_bits: NormBits, in_bits: InBits
) -> None:
    student = a_student(kind, norm_bits, in_bits)
    settings = settings_of(student)
    tensors = pack_network(student, "dorefa")
    with torch.device("meta"):
        planned = KIND_NETWORKS[kind][0]()
    slots = packed_slots(planned, settings, "dorefa", norm_bits, in_bits)
    assert stream_shapes(slots) == {n: (tuple(t.shape), t.dtype) for n, t in tensors.items()}
    loaded = KIND_NETWORKS[kind][0]()
    unpack_network(loaded, settings, "dorefa", tensors, norm_bits, in_bits)
    assert torch.equal(loaded(images()), student(images()))
    if (norm_bits, in_bits) == (32, 32):
        stored = 8 * sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
        scales = 32 * 3 * 2 * len(settings)
        assert 0 <= stored - network_sizes(shape_of(kind), settings).bits <= scales


def test_positions_are_what_is_multiplied() -> None:
    """By hand: images of 8x8, tokens of (24, 8)."""
    expected = {
        "conv1d": ("kind", 4 * 24 * 12 * 3),
        "conv3d": ("kind", 2 * 4 * 4 * 3 * 10 * 8),
        "transposed2d": ("kind", 64 * 3 * 16 * 16),
        "transposed_groups": ("kind", 8 * 24 * 4 * 4),
        "linear": ("kind", 24 * 8 * 14),
        "embedding": ("kind", 0),
        "attention": ("kind.in_proj_weight", 24 * 8 * 24),
        "lstm": ("kind.weight_hh_l0", 24 * 6 * 24),
    }
    for kind, (name, macs) in expected.items():
        layer = shape_of(kind).layers[name]
        assert LayerSetting.plain(32).form_macs(layer)["dense"] == macs, kind


def test_a_word_may_not_be_taken_where_torch_writes_to_the_weight() -> None:
    network = nn.Sequential(nn.Embedding(5, 3, max_norm=1.0), nn.Embedding(5, 3, sparse=True))
    assert compressible_layers(network) == {}
