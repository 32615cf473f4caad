"""From a model to a student and its files."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import mlgsearch
from mlgsearch.errors import SettingError, StudyFileError, UserError
from mlgsearch.mlg.kinds import compressible_layers
from mlgsearch.mlg.network import network_shape, network_sizes
from mlgsearch.mlg.uniform import uniform_settings
from mlgsearch.train.networks.models import build_model
from mlgsearch.train.spec import ModelSpec

SHAPE = (1, 8, 8)
FIVE = (2, 6, 3, 6, 3)


def a_model() -> nn.Module:
    return build_model(ModelSpec(width=8), classes=10, channels=1, image_size=(8, 8)).eval()


def images() -> Tensor:
    made = torch.randn(4, *SHAPE, generator=torch.Generator().manual_seed(0))
    return made.contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def test_five_numbers_compress_a_copy() -> None:
    model = a_model()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    student = mlgsearch.compress(model, FIVE, input_shape=SHAPE)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    shape = network_shape(model, SHAPE)
    assert student.settings == uniform_settings(shape, FIVE)
    assert student.sizes == network_sizes(shape, uniform_settings(shape, FIVE))
    assert 0 < student.projection_error["layer3.0.conv2"] < 1
    assert not torch.allclose(student.network.eval()(images()), model(images()))


@torch.no_grad()
def test_a_packed_file_has_the_size_that_was_said_and_the_students_logits(tmp_path: Path) -> None:
    student = mlgsearch.compress(
        a_model(), FIVE, input_shape=SHAPE, architecture={"name": "resnet8", "width": 8}
    )
    path = tmp_path / "a.safetensors"
    assert student.export(path) == student.packed_bytes == path.stat().st_size
    opened = mlgsearch.load_packed(path)
    assert torch.equal(opened(images()), student.network.eval()(images()))


@torch.no_grad()
def test_a_network_of_ones_own_is_opened_with_what_builds_it(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 12, 3, bias=False), nn.ReLU(), nn.ConvTranspose2d(12, 2, 2))
    student = mlgsearch.compress(model, FIVE, input_shape=SHAPE)
    student.export(tmp_path / "a.safetensors")

    def build(**sides: object) -> nn.Module:
        assert sides == {"classes": 2, "channels": 1, "image_size": (8, 8)}
        return nn.Sequential(
            nn.Conv2d(1, 12, 3, bias=False), nn.ReLU(), nn.ConvTranspose2d(12, 2, 2)
        )

    opened = mlgsearch.load_packed(tmp_path / "a.safetensors", build=build)
    assert torch.equal(opened(images()), student.network.eval()(images()))
    assert opened.packed.model.name == "torch.nn.modules.container:Sequential"  # type: ignore[union-attr]


def test_a_setting_per_layer_in_any_order() -> None:
    model = a_model()
    names = list(network_shape(model, SHAPE).layers)
    given = dict.fromkeys(reversed(names), (0, 0, 4, 0, 0)) | {
        "layer3.0.conv2": mlgsearch.LayerSetting(2, 9, 3, 6, 3)
    }
    student = mlgsearch.compress(model, given, input_shape=SHAPE)
    assert list(student.settings) == names
    layers = student.layers()
    assert layers.loc["layer3.0.conv2", "B_out"] == 9
    assert layers.loc["fc", "q_basis"] == 4
    assert layers["bits"].sum() + 32 * 2 * 168 + 320 == student.sizes.bits


def test_a_compressed_network_trains_and_keeps_its_mode(tmp_path: Path) -> None:
    student = mlgsearch.compress(a_model(), FIVE, input_shape=SHAPE)
    network = student.network.train()
    torch.autograd.backward(network(images()).square().mean())
    assert all(p.grad is not None for p in network.parameters())
    student.export(tmp_path / "a.safetensors")
    assert network.training


@torch.no_grad()
@pytest.mark.parametrize("format", ["coded", "onnx", "dense", "dense_onnx", "c"])
def test_every_format_is_written(tmp_path: Path, format: str) -> None:
    student = mlgsearch.compress(
        a_model(), FIVE, input_shape=SHAPE, quantisation={"norm_bits": 16}, mean=[0.3], std=[0.4]
    )
    size = student.export(tmp_path / "out", format)  # type: ignore[arg-type]
    written = [*tmp_path.rglob("*")]
    assert size == sum(path.stat().st_size for path in written if path.is_file())
    if format == "dense":
        a_model().load_state_dict(load_file(tmp_path / "out"))
    if format == "coded":
        assert size < student.packed_bytes
        opened = mlgsearch.load_packed(tmp_path / "out", build=lambda **sides: a_model())
        assert torch.equal(opened(images()), student.network.eval()(images()))


def test_an_export_is_its_owners_to_write(tmp_path: Path) -> None:
    student = mlgsearch.compress(
        a_model(), FIVE, input_shape=SHAPE, quantisation={"norm_bits": 16}, mean=[0.3], std=[0.4]
    )
    before = os.umask(0)
    try:
        for format in ("packed", "coded", "onnx", "dense", "dense_onnx", "c"):
            student.export(tmp_path / format, format)
    finally:
        os.umask(before)
    made = [*tmp_path.rglob("*")]
    assert len(made) > 6
    assert [path for path in made if path.stat().st_mode & 0o022] == []


def test_what_is_there_is_replaced_only_where_asked(tmp_path: Path) -> None:
    student = mlgsearch.compress(a_model(), FIVE, input_shape=SHAPE)
    (tmp_path / "a").write_text("mine")
    with pytest.raises(UserError, match=r"exists: pass replace=True to replace it"):
        student.export(tmp_path / "a")
    assert (tmp_path / "a").read_text() == "mine"
    student.export(tmp_path / "a", replace=True)
    with pytest.raises(UserError, match="unknown format 'zip'; there are packed"):
        student.export(tmp_path / "b", "zip")  # type: ignore[arg-type]


class _Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 4, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.layer(x), x


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"input_shape: write \(channels, height, width\)"),
        ({"input_shape": (8, 8)}, r"input_shape is \(8, 8\), expected"),
        ({"input_shape": 8}, r"input_shape is 8, expected"),
        ({"input_shape": (1, 8, 8.0)}, r"input_shape is \(1, 8, 8.0\), expected"),
        ({"input_shape": SHAPE, "mean": 0.5}, "mean is 0.5, expected a number per channel: 1"),
        ({"input_shape": SHAPE, "mean": ["a"]}, r"mean is \('a',\), expected numbers"),
        ({"input_shape": SHAPE, "std": [float("nan")]}, "std is .*, expected finite numbers"),
        ({"input_shape": SHAPE, "std": [0.0]}, r"std is \(0.0,\), expected numbers above 0"),
        ({"input_shape": SHAPE, "std": []}, "std has 0 numbers, expected one per channel: 1"),
        ({"input_shape": (3, 8, 8)}, "does not take images of 3x8x8"),
        (
            {"input_shape": SHAPE, "mean": [0.1, 0.2]},
            "mean has 2 numbers, expected one per channel: 1",
        ),
        (
            {"input_shape": SHAPE, "architecture": "resnet8"},
            r"architecture: the model is not resnet8 .*conv1.weight is \(8, 1, 3, 3\)",
        ),
    ],
)
def test_a_mistake_is_a_line(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message) as reported:
        mlgsearch.compress(a_model(), FIVE, **options)  # type: ignore[arg-type]
    assert "\n" not in str(reported.value)


def test_a_wrong_key_names_the_nearest() -> None:
    with pytest.raises(StudyFileError, match=r"quantisation\.norm_bit.*norm_bits"):
        mlgsearch.compress(a_model(), FIVE, input_shape=SHAPE, quantisation={"norm_bit": 16})


def test_settings_that_are_none_are_refused() -> None:
    with pytest.raises(SettingError, match=r"expected five numbers, got \(2, 6\)"):
        mlgsearch.compress(a_model(), (2, 6), input_shape=SHAPE)
    with pytest.raises(SettingError, match=r"layer 'fc': .*five numbers"):
        mlgsearch.compress(a_model(), {"fc": (1, 2)}, input_shape=SHAPE)
    with pytest.raises(UserError, match="returned tuple"):
        mlgsearch.compress(_Two(), FIVE, input_shape=SHAPE)


def _with_norms(wrap: Callable[[nn.Module], nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(wrap(nn.Conv2d(1, 12, 3)), nn.ReLU(), wrap(nn.Conv2d(12, 8, 3))).eval()


@torch.no_grad()
@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize(
    "wrap",
    [
        nn.utils.weight_norm,
        nn.utils.spectral_norm,
        nn.utils.parametrizations.weight_norm,
        nn.utils.parametrizations.spectral_norm,
    ],
)
def test_a_weight_under_a_norm_is_compressed_as_what_it_is(
    wrap: Callable[[nn.Module], nn.Module],
) -> None:
    model = _with_norms(wrap)
    with torch.enable_grad():
        expected = model(images()).detach()
    student = mlgsearch.compress(
        model, dict.fromkeys(("0", "2"), (0, 0, 32, 0, 0)), input_shape=SHAPE
    )
    torch.testing.assert_close(student.network.eval()(images()), expected, atol=2e-4, rtol=0)
    torch.testing.assert_close(model(images()), expected, atol=2e-4, rtol=0)
    assert mlgsearch.compress(model, FIVE, input_shape=SHAPE).sizes.memory_ratio < 0.5


class _Rows(nn.Module):
    """An LSTM that reads an image row by row, its weights under hooks of weight norm."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.rows = nn.LSTM(8, 16, batch_first=True)
        for name in ("weight_ih_l0", "weight_hh_l0"):
            nn.utils.weight_norm(self.rows, name)
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.rows(x.flatten(0, 1))[0][:, -1])
        return out


@torch.no_grad()
@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
def test_an_lstm_under_weight_norm_is_compressed() -> None:
    model = _Rows().eval()
    assert list(compressible_layers(model)) == ["head"]
    expected = model(images())
    names = ("rows.weight_ih_l0", "rows.weight_hh_l0", "head")
    student = mlgsearch.compress(model, dict.fromkeys(names, (0, 0, 32, 0, 0)), input_shape=SHAPE)
    torch.testing.assert_close(student.network.eval()(images()), expected)
    small = mlgsearch.compress(model, dict.fromkeys(names, (0, 4, 4, 0, 4)), input_shape=SHAPE)
    assert set(small.settings) == set(names)
    assert not torch.allclose(small.network.eval()(images()), expected)
