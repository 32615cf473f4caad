"""Compressed ONNX files: every kind of layer, every form, every bit width."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import ModelProto, numpy_helper
from torch import Tensor, nn
from torchvision.models import DenseNet, VisionTransformer, mobilenet_v2, mobilenet_v3_small

from mlgsearch.errors import UserError
from mlgsearch.mlg.compress import compress
from mlgsearch.mlg.input_quantiser import InputQuantiser
from mlgsearch.mlg.kinds import compressible_layers
from mlgsearch.mlg.network import network_shape
from mlgsearch.mlg.packing.packed import pack_network
from mlgsearch.mlg.setting import LayerSetting, LayerShape
from mlgsearch.mlg.uniform import uniform_settings
from mlgsearch.train.files.onnx.form import OnnxForm, onnx_form
from mlgsearch.train.files.onnx.graph import OPSET
from mlgsearch.train.files.onnx.onnx_file import compressed_onnx
from mlgsearch.train.files.packed_card import PackedCard
from mlgsearch.train.files.packed_file import to_bytes
from mlgsearch.train.networks.models import build_model
from mlgsearch.train.spec import ModelSpec
from tests.mlg.kind_networks import IMAGE, KIND_NETWORKS, kind_network
from tests.mlg.students import as_trained, varied_settings


class Mixed(nn.Module):
    """Biases, odd paddings, a grouped and a depthwise layer, norms that nothing is folded into."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, (3, 5), stride=2, padding=(1, 2), padding_mode="reflect")
        self.norm = nn.BatchNorm2d(12)
        self.grouped = nn.Conv2d(12, 12, 3, padding=2, groups=3, bias=False, dilation=2)
        self.bare = nn.BatchNorm2d(12, affine=False)
        self.depthwise = nn.Conv2d(12, 12, 3, padding=1, groups=12)
        self.same = nn.Conv2d(12, 12, 3, padding="same", bias=False)
        self.used_twice = nn.Conv2d(12, 12, 1, bias=False)
        self.twice_norm = nn.BatchNorm2d(12)
        self.group_norm = nn.GroupNorm(2, 12)
        self.rows = nn.Linear(12, 12)
        self.row_norm = nn.BatchNorm1d(12)
        self.head = nn.Linear(12, 5)
        self.gain = nn.Parameter(torch.full((1,), 1.5))

    def forward(self, x: Tensor) -> Tensor:
        x = self.bare(self.grouped(self.norm(self.stem(x)).relu()))
        x = self.same(self.group_norm(self.depthwise(x)))
        one = self.used_twice(x)
        x = self.used_twice(self.twice_norm(one) + one)
        x = self.rows(x.permute(0, 2, 3, 1)).mean((1, 2))  # a linear layer of four dimensions
        logits: Tensor = self.head(self.row_norm(x)) * self.gain
        return logits


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "mixed": Mixed,
    "mobilenet_v2": lambda: mobilenet_v2(num_classes=5, width_mult=0.25),
    "mobilenet_v3_small": lambda: mobilenet_v3_small(num_classes=5, width_mult=0.5),
    "densenet": lambda: DenseNet(4, (2, 2), 8, num_classes=5),
    "transformer": lambda: VisionTransformer(16, 8, 1, 2, 16, 32, num_classes=5),
}


def a_card(network: nn.Module, shape: tuple[int, int, int], **changes: Any) -> PackedCard:
    content = {
        "model": ModelSpec(name="mine:network"),
        "classes": 5,
        "channels": shape[0],
        "image_size": shape[1:],
        "method": "lsq_symmetric",
        "settings": tuple(varied_settings(network).values()),
        "mean": (0.5,) * shape[0],
        "std": (0.25,) * shape[0],
    }
    return PackedCard.model_validate(content | changes)


@torch.no_grad()
def a_student(
    network: nn.Module, shape: tuple[int, int, int], **changes: Any
) -> tuple[nn.Module, PackedCard]:
    """Return a student as after a training: latents, scales, statistics and ranges moved."""
    card = a_card(network, shape, **changes)
    names = compressible_layers(network)
    bits: Any = {"norm_bits": card.norm_bits, "in_bits": card.in_bits}
    found = dict(zip(names, card.settings, strict=True))
    compress(network, found, method=card.method, refine_steps=0, **bits)
    return as_trained(network, 4, *shape), card


def session_of(model: ModelProto, *, is_optimised: bool = True) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    if not is_optimised:
        level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.graph_optimization_level = level
    content = model.SerializeToString()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


@torch.no_grad()
def check(
    network: nn.Module, card: PackedCard, form: OnnxForm | None = None, tolerance: float = 1e-4
) -> ModelProto:
    """Compare logits with the student's at two batches, optimised by onnxruntime or not."""
    tensors = pack_network(network, card.method)
    model = compressed_onnx(network, card, tensors, form)
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    images = torch.randn(3, *card.input_shape)
    expected = network(images).numpy()
    for is_optimised in (True, False):
        session = session_of(model, is_optimised=is_optimised)
        for batch in (1, 3):
            (logits,) = session.run(["logits"], {"images": images[:batch].numpy()})
            close = np.abs(logits - expected[:batch]).max()
            assert close < tolerance * max(1.0, np.abs(expected).max())
    assert all(made.isidentifier() for node in model.graph.node for made in node.output)
    stored = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(stored[name], tensor.numpy())
    return model


SIDES = {"mixed": 16, "transformer": 16}


@pytest.mark.parametrize("kind", list(NETWORKS))
def test_every_network_gives_the_students_logits(kind: str) -> None:
    torch.manual_seed(0)
    side = SIDES.get(kind, 32)
    check(*a_student(NETWORKS[kind](), (3, side, side)))


@pytest.mark.parametrize("kind", list(KIND_NETWORKS))
def test_every_kind_of_layer_gives_the_students_logits(kind: str) -> None:
    torch.manual_seed(0)
    check(*a_student(kind_network(kind), IMAGE))


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "dorefa"},
        {"method": "lsq"},
        {"norm_bits": 16},
        {"in_bits": 4},
        {"in_bits": tuple((8, 6, 32)[i % 3] for i in range(len(compressible_layers(Mixed()))))},
    ],
    ids=lambda changes: f"{next(iter(changes))}-{str(next(iter(changes.values())))[:3]}",
)
def test_every_kind_of_quantisation(changes: dict[str, Any]) -> None:
    torch.manual_seed(0)
    # A code of the inputs may fall on its neighbour where sums are rounded in another order.
    tolerance = 0.05 if "in_bits" in changes else 1e-4
    check(*a_student(Mixed(), (3, 16, 16), **changes), tolerance=tolerance)


@pytest.mark.parametrize("form", ["dense", "level2", "depthwise"])
def test_every_form_gives_the_same(form: OnnxForm) -> None:
    torch.manual_seed(0)
    model = check(*a_student(Mixed(), (3, 16, 16)), form)
    name = {"dense": "Conv", "level2": "Level2", "depthwise": "Depthwise"}[form]
    assert any(node.op_type.startswith(name) for node in model.graph.node)


@torch.no_grad()
def test_inputs_of_zeros_alone_are_not_quantised() -> None:
    torch.manual_seed(0)
    network, card = a_student(Mixed(), (3, 16, 16), in_bits=8)
    for module in network.modules():
        if isinstance(module, InputQuantiser):
            module.scale.zero_()
    model = check(network, card)
    assert all(node.op_type != "Quantise" for node in model.graph.node)


@torch.no_grad()
def test_resnet18_has_little_more_than_its_packed_bytes() -> None:
    """The paper's setting: at most 1.05 times the packed file, factored where layers are large."""
    torch.manual_seed(0)
    model = ModelSpec(name="resnet18", head_bias=False)
    network = build_model(model, classes=10, channels=3, image_size=(32, 32))
    found = uniform_settings(network_shape(network, (3, 32, 32)), (2, 44, 3, 6, 3))
    changes = {"classes": 10, "model": model, "settings": tuple(found.values())}
    card = a_card(network, (3, 32, 32), **changes)
    compress(network, found, method=card.method, refine_steps=0)
    network.eval()
    made = compressed_onnx(network, card, pack_network(network, card.method))
    size = len(made.SerializeToString())
    assert size <= 1.05 * len(to_bytes(network, card))
    kinds = [node.op_type for node in made.graph.node if node.op_type.endswith("Norm")]
    assert kinds.count("DepthwiseNorm") == 13  # the strided ones cost less in two
    images = torch.randn(2, 3, 32, 32)
    (logits,) = session_of(made).run(None, {"images": images.numpy()})
    expected = network(images).numpy()
    assert np.abs(logits - expected).max() < 1e-4 * np.abs(expected).max()


def test_a_form_is_chosen_by_its_multiplications() -> None:
    large = LayerShape("conv", 128, 128, (3, 3), out_positions=256)
    small = LayerShape("conv", 16, 16, (3, 3), out_positions=64)
    setting = LayerSetting(2, 44, 3, 6, 3)
    assert onnx_form(setting, large) == "depthwise"
    assert onnx_form(LayerSetting(0, 44, 3, 0, 3), large) == "level2"
    assert onnx_form(LayerSetting(0, 100, 3, 0, 3), large) == "dense"
    assert onnx_form(LayerSetting(2, 4, 3, 6, 3), small) == "dense"
    assert onnx_form(LayerSetting(2, 0, 3, 6, 0), large) == "dense"
    assert onnx_form(LayerSetting.plain(4), large) == "dense"


def test_what_cannot_be_traced_is_said() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(48, 5)

        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = self.head(x.flatten(1))
            return logits if x.sum() > 0 else -logits

    network, card = a_student(Branching(), (3, 4, 4), settings=(LayerSetting.plain(4),))
    with pytest.raises(UserError, match="mine:network cannot be expressed as ONNX"):
        compressed_onnx(network, card, pack_network(network, card.method))


def test_the_metadata_are_the_cards() -> None:
    network, card = a_student(Mixed(), (3, 16, 16))
    made = compressed_onnx(network, card, pack_network(network, card.method))
    assert {p.key: p.value for p in made.metadata_props} == card.to_metadata()
    assert made.opset_import[0].version == OPSET <= 21
