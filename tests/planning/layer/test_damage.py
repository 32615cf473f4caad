import numpy as np
import pytest
import torch

from mlgsearch.mlg.kinds import compressible_layers
from mlgsearch.mlg.quantise import Method
from mlgsearch.mlg.setting import LayerSetting, LayerShape
from mlgsearch.planning.layer.damage import DamageModel
from mlgsearch.planning.layer.grid import Ranges, Settings
from tests.planning.samples import RANGES, moments, shape, trained

UNQUANTISED = Ranges((1, 9), (1, 64), (32, 32), (32, 32), (32, 32))


def a_model(name: str, ranges: Ranges = RANGES, method: Method = "dorefa") -> DamageModel:
    weight = compressible_layers(trained())[name].weight
    return DamageModel(weight, moments()[name].channels, shape().layers[name], ranges, method, 3)


def rows(*settings: LayerSetting) -> Settings:
    return np.array([setting.five for setting in settings], dtype=np.int64)


@pytest.mark.parametrize("name", ["conv1", "layer2.0.conv1", "layer3.0.shortcut.0", "fc"])
@pytest.mark.parametrize("method", ["dorefa", "lsq"])
def test_plain_weights_are_predicted_exactly(name: str, method: Method) -> None:
    model = a_model(name, method=method)
    plain = [LayerSetting.plain(bits) for bits in (2, 3, 4)]
    measured = [model.measure(setting) for setting in plain]
    np.testing.assert_allclose(model.predict(rows(*plain)), measured, rtol=1e-3)


@pytest.mark.parametrize("five", [(0, 5, 32, 0, 32), (2, 0, 32, 32, 0)])
def test_single_levels_without_quantisation_are_predicted_exactly(five: tuple[int, ...]) -> None:
    model = a_model("layer3.0.conv2", UNQUANTISED)
    setting = LayerSetting(*five)
    assert model.predict(rows(setting))[0] == pytest.approx(model.measure(setting), rel=1e-4)


@pytest.mark.parametrize("method", ["dorefa", "lsq"])
def test_predictions_are_near_the_truth(method: Method) -> None:
    model = a_model("layer3.0.conv2", method=method)
    settings = [
        LayerSetting(*five)
        for five in [(1, 8, 3, 4, 3), (2, 12, 3, 4, 3), (0, 12, 4, 0, 4), (3, 0, 4, 4, 0)]
    ]
    measured = [model.measure(setting) for setting in settings]
    np.testing.assert_allclose(model.predict(rows(*settings)), measured, rtol=0.35)


def test_damage_lies_between_nothing_and_everything() -> None:
    model = a_model("layer2.0.conv2")
    worst, best = LayerSetting(1, 1, 2, 2, 2), LayerSetting.plain(4)
    damages = model.predict(rows(worst, best))
    assert 0 < damages[1] < 0.05 < damages[0] <= 1.05


def test_a_layer_of_zeros_takes_no_damage() -> None:
    layer = LayerShape("conv", 4, 4, (3, 3))
    eye = torch.eye(4, dtype=torch.float64)[None]
    model = DamageModel(torch.zeros(4, 4, 3, 3), eye, layer, RANGES, "dorefa", 3)
    setting = LayerSetting(1, 1, 2, 2, 2)
    assert model.predict(rows(setting)).tolist() == [0.0]
    assert model.measure(setting) == 0
