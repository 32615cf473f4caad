"""A student as flat tensors: every kind of layer and network, bit for bit."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import DenseNet, mobilenet_v2, mobilenet_v3_small, resnet18

from mlgsearch.errors import DataError, SettingError
from mlgsearch.mlg.compress import compress, densify
from mlgsearch.mlg.factoring.parametrization import latents_of
from mlgsearch.mlg.half_norm import NormBits
from mlgsearch.mlg.input_quantiser import InBits, InputQuantiser
from mlgsearch.mlg.kinds import compressible_layers
from mlgsearch.mlg.network import network_shape, network_sizes
from mlgsearch.mlg.packing.bits import packed_length
from mlgsearch.mlg.packing.packed import pack_network, settings_of, unpack_network
from mlgsearch.mlg.packing.packed_slot import packed_slots, stream_shapes
from mlgsearch.mlg.quantise import Method
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.mlg.uniform import uniform_settings
from tests.mlg.students import as_trained, varied_settings


class Mixed(nn.Module):
    """A bias, a grouped and a depthwise layer, odd norms, a buffer, a number of another type."""

    table: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(12)
        self.grouped = nn.Conv2d(12, 12, 3, padding=1, groups=3, bias=False)
        self.bare = nn.BatchNorm2d(12, affine=False)
        self.depthwise = nn.Conv2d(12, 12, 3, padding=1, groups=12)
        self.batch_statistics = nn.BatchNorm2d(12, track_running_stats=False)
        self.group_norm = nn.GroupNorm(2, 12)
        self.head = nn.Linear(12, 5)
        self.gain = nn.Parameter(torch.ones(1))
        self.register_buffer("table", torch.arange(5))
        self.register_buffer("scratch", torch.zeros(3), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bare(self.grouped(self.norm(self.stem(x)).relu()))
        x = self.group_norm(self.batch_statistics(self.depthwise(x)))
        logits: Tensor = self.head(x.mean((-2, -1))) * self.gain + self.table
        return logits


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "mixed": Mixed,
    "mobilenet_v2": lambda: mobilenet_v2(num_classes=7, width_mult=0.25),
    "mobilenet_v3_small": lambda: mobilenet_v3_small(num_classes=7, width_mult=0.5),
    "densenet121": lambda: DenseNet(4, (6, 12, 24, 16), 8, num_classes=7),
}


def a_student(
    kind: str, method: Method = "dorefa", norm_bits: NormBits = 32, in_bits: InBits = 32
) -> nn.Module:
    """Return a student as after a training: latents, scales and statistics moved."""
    network: nn.Module = NETWORKS[kind]()
    settings = varied_settings(network)
    compress(
        network,
        settings,
        method=method,
        refine_steps=0,
        norm_bits=norm_bits,
        in_bits=in_bits,
    )
    return as_trained(network, 2, 3, 32, 32)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("method", ["dorefa", "lsq"])
@pytest.mark.parametrize("kind", NETWORKS)
@torch.no_grad()
def test_the_loaded_network_gives_the_same_bits(
    kind: str, method: Method, layout: torch.memory_format
) -> None:
    student = a_student(kind, method).to(memory_format=layout)
    loaded: nn.Module = NETWORKS[kind]()
    unpack_network(loaded, settings_of(student), method, pack_network(student, method))
    assert not any(module.training for module in loaded.modules())
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    x = torch.randn(2, 3, 32, 32).contiguous(memory_format=layout)
    expected = student(x)
    assert torch.equal(loaded.to(memory_format=layout)(x), expected)
    assert expected.std() > 0


@pytest.mark.parametrize("kind", NETWORKS)
@torch.no_grad()
def test_half_norms_give_the_same_bits(kind: str) -> None:
    student = a_student(kind, norm_bits=16).to(memory_format=torch.channels_last)
    loaded: nn.Module = NETWORKS[kind]()
    tensors = pack_network(student, "dorefa")
    assert tensors["halves"].dtype == torch.float16
    unpack_network(loaded, settings_of(student), "dorefa", tensors, norm_bits=16)
    x = torch.randn(2, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    expected = student(x)
    assert torch.equal(loaded.to(memory_format=torch.channels_last)(x), expected)
    plain = densify(student)
    assert torch.allclose(plain.to(memory_format=torch.channels_last)(x), expected, atol=1e-4)


@pytest.mark.parametrize("in_bits", [2, 8])
@pytest.mark.parametrize("kind", NETWORKS)
@torch.no_grad()
def test_quantised_inputs_give_the_same_bits(kind: str, in_bits: InBits) -> None:
    student = a_student(kind, in_bits=in_bits).to(memory_format=torch.channels_last)
    loaded: nn.Module = NETWORKS[kind]()
    tensors = pack_network(student, "dorefa")
    unpack_network(loaded, settings_of(student), "dorefa", tensors, in_bits=in_bits)
    x = torch.randn(2, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    expected = student(x)
    assert torch.equal(loaded.to(memory_format=torch.channels_last)(x), expected)
    without = densify(student, keeps_input_quantisers=False)
    assert not torch.allclose(without(x), expected, rtol=1e-3)
    quantised = [m for m in student.modules() if isinstance(m, InputQuantiser)]
    compressed = [s for s in settings_of(student).values() if s != LayerSetting.plain(32)]
    assert len(quantised) == len(compressed) > 0
    before = pack_network(a_student(kind), "dorefa")["numbers"].numel()
    assert tensors["numbers"].numel() == before + 2 * len(quantised)


@pytest.mark.parametrize(("norm_bits", "in_bits"), [(32, 32), (16, 32), (16, 4)])
@pytest.mark.parametrize("kind", NETWORKS)
def test_the_slots_are_known_before_any_training(
    kind: str, norm_bits: NormBits, in_bits: InBits
) -> None:
    student = a_student(kind, norm_bits=norm_bits, in_bits=in_bits)
    with torch.device("meta"):
        untrained = NETWORKS[kind]()
    slots = packed_slots(untrained, settings_of(student), "dorefa", norm_bits, in_bits)
    assert slots == packed_slots(student, settings_of(student), "dorefa", norm_bits, in_bits)
    found = {k: (tuple(t.shape), t.dtype) for k, t in pack_network(student, "dorefa").items()}
    assert found == stream_shapes(slots)


@pytest.mark.parametrize("norm_bits", [16, 32])
def test_what_is_stored_is_what_is_counted(norm_bits: NormBits) -> None:
    with torch.device("meta"):
        network = resnet18(num_classes=10)
    shape = network_shape(network, (3, 64, 64))
    settings = uniform_settings(shape, (2, 44, 3, 6, 3))
    slots = packed_slots(network, settings, "dorefa", norm_bits)
    extra = [s for s in slots if s.item.endswith(".scales")]
    stored = sum(s.numel * s.bits for s in slots if s not in extra)
    assert stored == network_sizes(shape, settings, norm_bits).bits
    assert sum(s.numel for s in extra) < 150


def test_codes_take_their_bits_and_no_more() -> None:
    student = a_student("mixed")
    slots = packed_slots(student, settings_of(student), "dorefa")
    expected = sum(packed_length(s.numel, s.bits) for s in slots if s.bits < 32)
    assert pack_network(student, "dorefa")["codes"].numel() == expected


def test_other_types_are_kept_and_scratch_is_not() -> None:
    tensors = pack_network(a_student("mixed"), "dorefa")
    assert tensors.keys() == {"codes", "numbers", "other..table"}
    assert torch.equal(tensors["other..table"], torch.arange(5))


def test_the_student_is_left_alone() -> None:
    student = a_student("mixed")
    before = {name: tensor.clone() for name, tensor in student.state_dict().items()}
    pack_network(student, "dorefa")
    assert all(torch.equal(before[name], t) for name, t in student.state_dict().items())


def test_a_loaded_layer_keeps_its_weight() -> None:
    student = a_student("mixed")
    loaded = Mixed()
    unpack_network(loaded, settings_of(student), "dorefa", pack_network(student, "dorefa"))
    with pytest.raises(SettingError, match="fixed"):
        loaded.stem.weight = torch.zeros(12, 3, 3, 3)


def test_tensors_of_another_network_are_refused() -> None:
    student = a_student("mixed")
    tensors = pack_network(student, "dorefa")
    for wrong in (
        tensors | {"codes": tensors["codes"][1:]},
        tensors | {"numbers": tensors["numbers"].double()},
        {name: tensor for name, tensor in tensors.items() if name != "codes"},
        tensors | {"more": tensors["codes"]},
    ):
        with pytest.raises(DataError, match=r"tensor '.*' is .*, expected"):
            unpack_network(Mixed(), settings_of(student), "dorefa", wrong)


def test_what_is_not_finite_is_not_packed() -> None:
    student = a_student("mixed")
    latents_of(student.get_submodule("stem"))[0].data[0, 0] = float("nan")
    with pytest.raises(DataError, match=r"stem\.basis\.scales holds values that are not finite"):
        pack_network(student, "dorefa")


def test_what_a_network_has_in_float16_is_with_the_halves() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    network.register_buffer("extra", torch.tensor([0.5, 2.0, 3.0], dtype=torch.float16))
    compress(network, {"0": LayerSetting.plain(4)}, norm_bits=16)
    tensors = pack_network(network, "dorefa")
    assert tensors["halves"].tolist()[:3] == [0.5, 2, 3]
    assert tensors["halves"].shape == (3 + 8,)
    loaded = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    loaded.register_buffer("extra", torch.zeros(3, dtype=torch.float16))
    unpack_network(loaded, settings_of(network), "dorefa", tensors, norm_bits=16)
    assert torch.equal(loaded.get_buffer("extra"), network.get_buffer("extra"))


def test_half_a_norm_that_is_not_finite_is_not_packed() -> None:
    student = a_student("mixed", norm_bits=16)
    student.get_buffer("norm.running_mean")[3] = float("inf")
    with pytest.raises(DataError, match=r"norm\.(running_mean|shift) holds values that are not"):
        pack_network(student, "dorefa")


def test_a_setting_that_does_not_fit_is_told_with_its_layer() -> None:
    network = Mixed()
    settings = dict.fromkeys(compressible_layers(network), LayerSetting.plain(8))
    with pytest.raises(SettingError, match=r"layer 'head': .* is not canonical"):
        packed_slots(network, settings | {"head": LayerSetting(1, 9, 4, 4, 4)}, "dorefa")
