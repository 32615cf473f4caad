import pytest
import torch
from torch import nn
from torchvision.models import densenet121, resnet18

from mlgsearch.errors import SettingError
from mlgsearch.mlg.network import NetworkShape, network_shape, network_sizes
from mlgsearch.mlg.setting import LayerSetting, LayerShape
from mlgsearch.mlg.uniform import uniform_settings
from mlgsearch.records import FiveNumbers

# Gu et al. 2021 (arXiv 2108.11430): (classes, five numbers, parameter ratio, memory ratio).
RESNET18 = [
    (10, (2, 44, 32, 32, 32), 0.0497, 0.0497),
    (10, (2, 44, 8, 8, 8), 0.0497, 0.0131),
    (10, (2, 44, 3, 6, 3), 0.0497, 0.0080),
    (100, (2, 44, 32, 32, 32), 0.0536, 0.0536),
    (100, (2, 44, 8, 8, 8), 0.0536, 0.0140),
    (100, (2, 44, 3, 6, 3), 0.0536, 0.0090),
]
DENSENET121 = [
    (10, (1, 25, 32, 32, 32), 0.1986, 0.1986),
    (10, (1, 25, 8, 8, 8), 0.1986, 0.0587),
    (10, (1, 25, 4, 6, 6), 0.1986, 0.0395),
    (100, (1, 25, 32, 32, 32), 0.2091, 0.2091),
    (100, (1, 25, 8, 8, 8), 0.2091, 0.0612),
    (100, (1, 25, 4, 6, 6), 0.2091, 0.0422),
]


@pytest.fixture(scope="module")
def shapes() -> dict[tuple[str, int], NetworkShape]:
    found = {}
    with torch.device("meta"):
        for classes in (10, 100):
            resnet = resnet18(num_classes=classes)
            resnet.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
            resnet.maxpool = nn.Identity()
            found["resnet18", classes] = network_shape(resnet, (3, 32, 32))
            densenet = densenet121(num_classes=classes)
            densenet.features.conv0 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
            densenet.features.pool0 = nn.Identity()
            found["densenet121", classes] = network_shape(densenet, (3, 32, 32))
    return found


@pytest.mark.parametrize(
    ("network", "classes", "five", "parameter_ratio", "memory_ratio"),
    [("resnet18", *row) for row in RESNET18] + [("densenet121", *row) for row in DENSENET121],
)
def test_the_papers_sizes(
    shapes: dict[tuple[str, int], NetworkShape],
    network: str,
    classes: int,
    five: FiveNumbers,
    parameter_ratio: float,
    memory_ratio: float,
) -> None:
    shape = shapes[network, classes]
    sizes = network_sizes(shape, uniform_settings(shape, five))
    assert round(sizes.parameter_ratio, 4) == parameter_ratio
    assert round(sizes.memory_ratio, 4) == memory_ratio


SMALL = NetworkShape(
    {
        "conv": LayerShape("conv", 64, 64, (3, 3)),
        "shortcut": LayerShape("conv", 64, 20, (1, 1)),
        "depthwise": LayerShape("conv", 64, 1, (3, 3), groups=64),
        "head": LayerShape("linear", 10, 64),
    }
)


def test_a_pointwise_layer_keeps_nine_tenths() -> None:
    settings = uniform_settings(SMALL, (2, 20, 4, 8, 4))
    assert settings["conv"].five == (2, 20, 4, 8, 4)
    # 18 bases cost 4 * 18 * (64 + 20) bits, more than the weight's 4 * 64 * 20: plain.
    assert settings["shortcut"].five == (0, 0, 4, 0, 0)
    cheap = uniform_settings(SMALL, (2, 20, 8, 8, 1))
    assert cheap["shortcut"].five == (0, 18, 8, 0, 1)
    assert uniform_settings(SMALL, (2, 19, 8, 8, 1))["shortcut"].five == (0, 19, 8, 0, 1)
    assert settings["depthwise"].five == (0, 0, 4, 0, 0)


@pytest.mark.parametrize(
    ("five", "head_bits", "expected"),
    [
        ((2, 20, 32, 32, 32), None, 32),
        ((2, 20, 32, 32, 8), None, 8),
        ((2, 20, 2, 2, 2), None, 8),
        ((2, 20, 2, 2, 2), 4, 4),
        ((2, 20, 32, 32, 32), 8, 8),
    ],
)
def test_the_heads_bits(five: FiveNumbers, head_bits: int | None, expected: int) -> None:
    settings = uniform_settings(SMALL, five, head_bits=head_bits)
    assert settings["head"] == LayerSetting.plain(expected)


def test_settings_are_canonical() -> None:
    for name, setting in uniform_settings(SMALL, (9, 64, 4, 8, 4)).items():
        assert setting.canonical(SMALL.layers[name]) == setting


def test_malformed_numbers_are_refused() -> None:
    with pytest.raises(SettingError, match="q_basis is 9"):
        uniform_settings(SMALL, (2, 20, 9, 8, 8))


@pytest.mark.parametrize(
    ("five", "bits"),
    [((0, 0, 32, 0, 0), 32), ((2, 0, 32, 32, 0), 32), ((2, 0, 32, 8, 0), 8), ((0, 0, 8, 0, 0), 8)],
)
def test_an_absent_factor_does_not_quantise_the_head(five: FiveNumbers, bits: int) -> None:
    shape = NetworkShape({"head": LayerShape("linear", 10, 64)})
    assert uniform_settings(shape, five)["head"] == LayerSetting.plain(bits)
