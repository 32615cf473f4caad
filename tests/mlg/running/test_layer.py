"""One suite for every kind of layer, against the dense layer it must equal."""

from copy import deepcopy
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mlgsearch.errors import DataError, SettingError
from mlgsearch.mlg.factoring.parametrization import Mlg, latents_of, layer_factors
from mlgsearch.mlg.kinds import compressible_layers, is_compressed
from mlgsearch.mlg.quantise import Method
from mlgsearch.mlg.running.execution import Execution
from mlgsearch.mlg.running.factored_layers import MlgConv2d, MlgLinear
from mlgsearch.mlg.running.layer import parametrize_layer
from mlgsearch.mlg.setting import ExecutionForm, LayerSetting
from mlgsearch.records import FiveNumbers

FORMS: tuple[Execution, ...] = ("auto", "dense", "level2", "three_stage")


def compressed(
    plain: nn.Conv2d | nn.Linear,
    setting: LayerSetting,
    *,
    method: Method = "dorefa",
    execution: Execution = "auto",
) -> Any:
    module = deepcopy(plain)
    (layer,) = compressible_layers(module).values()
    mlg = Mlg(setting.canonical(layer.shape), layer.shape, method, 1)
    parametrize_layer(layer, mlg, execution)
    return module


class LayerSuite:
    """What every kind of layer must do; a kind gives a layer, an input and five numbers."""

    layer: nn.Conv2d | nn.Linear
    five: FiveNumbers = (2, 5, 3, 6, 4)
    input_shape: tuple[int, ...] = (3, 6, 9, 8)
    forms: frozenset[ExecutionForm] = frozenset({"dense", "level2", "three_stage"})

    @pytest.fixture(params=["dorefa", "lsq"])
    def method(self, request: pytest.FixtureRequest) -> Method:
        chosen: Method = request.param
        return chosen

    def run(self, module: Any, dense: bool, dtype: torch.dtype) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the output and the gradients of everything that has one."""
        generator = torch.Generator().manual_seed(1)
        x = torch.randn(self.input_shape, generator=generator, dtype=torch.float64).to(dtype)
        x.requires_grad_()
        if dense:
            reference = deepcopy(self.layer).to(dtype)
            state = {"weight": module.weight}
            if module.bias is not None:
                state["bias"] = module.bias
            output = torch.func.functional_call(reference, state, x)
        else:
            output = module(x)
        module.zero_grad()
        weights = torch.randn(output.shape, generator=generator, dtype=torch.float64).to(dtype)
        (output * weights).sum().backward()
        gradients = {"input": x.grad, **{n: p.grad for n, p in module.named_parameters()}}
        assert all(g is not None for g in gradients.values()), gradients.keys()
        return output.detach(), {n: g.clone() for n, g in gradients.items() if g is not None}

    @pytest.mark.parametrize("execution", FORMS)
    def test_every_form_equals_the_dense_layer(self, method: Method, execution: Execution) -> None:
        for dtype, tolerance in ((torch.float64, 1e-11), (torch.float32, 1e-5)):
            module = compressed(
                deepcopy(self.layer).to(dtype),
                LayerSetting(*self.five),
                method=method,
                execution=execution,
            )
            expected, expected_gradients = self.run(module, True, dtype)
            output, gradients = self.run(module, False, dtype)
            assert output.shape == expected.shape
            assert _distance(output, expected) < tolerance
            assert gradients.keys() == expected_gradients.keys()
            for name, gradient in gradients.items():
                # A step's gradient is one sum of many terms that cancel: it loses a digit or two.
                slack = 100 if gradient.dim() == 0 and dtype == torch.float32 else 1
                assert _distance(gradient, expected_gradients[name]) < slack * tolerance, name

    @pytest.mark.parametrize("execution", FORMS)
    def test_a_forced_form_is_used_where_it_exists(self, execution: Execution) -> None:
        module = compressed(self.layer, LayerSetting(*self.five), execution=execution)
        module(torch.randn(self.input_shape))
        (form,) = module.forms.values()
        if execution == "auto":
            assert form in self.forms
        else:
            assert form == (execution if execution in self.forms else "dense")

    def test_a_copy_has_its_own_weights(self) -> None:
        module = compressed(self.layer, LayerSetting(*self.five))
        copy, x = deepcopy(module), torch.randn(self.input_shape)
        before = module(x)
        assert torch.equal(copy(x), before)
        with torch.no_grad():
            for latent in latents_of(copy):
                latent.neg_().add_(0.1)
        assert not torch.equal(copy(x), before)
        assert torch.equal(module(x), before)

    def test_the_bias_is_kept(self) -> None:
        module = compressed(self.layer, LayerSetting(*self.five))
        if self.layer.bias is None:
            assert module.bias is None
        else:
            assert torch.equal(module.bias, self.layer.bias)

    def test_assigning_the_weight_projects_it(self) -> None:
        module = compressed(self.layer, LayerSetting(*self.five))
        latents = latents_of(module)
        generated = layer_factors(module).weight(self.layer.weight.shape).detach()
        module.weight = torch.zeros_like(self.layer.weight)
        assert not module.weight.any()
        module.weight = self.layer.weight.detach()  # parametrize takes a tensor, no parameter
        assert [id(t) for t in latents_of(module)] == [id(t) for t in latents]
        torch.testing.assert_close(module.weight, generated, rtol=1e-4, atol=1e-6)


def _distance(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max().clamp_min(1e-12))


def conv(*args: Any, **kwargs: Any) -> nn.Conv2d:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return nn.Conv2d(*args, **kwargs)


class Test3x3(LayerSuite):
    layer = conv(6, 16, 3, padding=1)


class TestNoBiasNoPadding(LayerSuite):
    layer = conv(6, 16, 3, bias=False)


class TestStrided(LayerSuite):
    layer = conv(6, 16, 3, stride=2, padding=1)


class TestUnevenEverything(LayerSuite):
    layer = conv(6, 16, (3, 2), stride=(1, 2), padding=(2, 1), dilation=(2, 3))


class TestSamePadding(LayerSuite):
    layer = conv(6, 16, (5, 3), padding="same", dilation=(1, 2))


class TestValidPadding(LayerSuite):
    layer = conv(6, 16, 3, padding="valid")


class TestReflectPadding(LayerSuite):
    layer = conv(6, 16, 3, padding=(2, 1), padding_mode="reflect", stride=2)


class TestCircularSamePadding(LayerSuite):
    layer = conv(6, 16, (4, 3), padding="same", padding_mode="circular")


class TestUnbatched(LayerSuite):
    layer = conv(6, 16, 3, padding=1)
    input_shape = (6, 9, 8)


class TestUnbatchedLevel1Only(TestUnbatched):
    five = (2, 0, 3, 6, 0)
    forms = frozenset({"dense", "three_stage"})


class TestLevel1Only(LayerSuite):
    layer = conv(6, 16, 3, padding=1)
    five = (2, 0, 3, 6, 0)
    forms = frozenset({"dense", "three_stage"})


class TestLevel1OnlyWithoutBias(LayerSuite):
    layer = conv(6, 16, 3, stride=2, bias=False)
    five = (1, 0, 3, 6, 0)
    forms = frozenset({"dense", "three_stage"})


class TestLevel2Only(LayerSuite):
    layer = conv(6, 16, 3, padding=1, stride=2)
    five = (0, 5, 3, 0, 4)
    forms = frozenset({"dense", "level2"})


class TestOneBase(LayerSuite):
    layer = conv(6, 16, 3, padding=1)
    five = (1, 1, 3, 6, 4)


class TestUnquantised(LayerSuite):
    layer = conv(6, 16, 3, padding=1)
    five = (2, 5, 32, 32, 32)


class TestOneBit(LayerSuite):
    layer = conv(6, 16, 3, padding=1)
    five = (2, 5, 1, 1, 1)


class Test1x1(LayerSuite):
    layer = conv(6, 16, 1)
    five = (2, 3, 4, 4, 4)
    forms = frozenset({"dense", "level2"})


class Test1x1Strided(LayerSuite):
    layer = conv(6, 16, 1, stride=2, bias=False)
    five = (2, 3, 4, 4, 4)
    forms = frozenset({"dense", "level2"})


class TestGrouped(LayerSuite):
    layer = conv(6, 16, 3, groups=2, padding=1)
    forms = frozenset({"dense"})
    five = (2, 5, 3, 3, 3)


class TestDepthwise(LayerSuite):
    layer = conv(6, 12, 3, groups=6, padding=1)
    forms = frozenset({"dense"})


class TestPlain(LayerSuite):
    layer = conv(6, 16, 3, padding=1)
    five = (0, 0, 3, 0, 0)
    forms = frozenset({"dense"})


class TestLinear(LayerSuite):
    layer = nn.Linear(20, 12)
    five = (0, 4, 4, 0, 6)
    input_shape = (7, 20)
    forms = frozenset({"dense", "level2"})


class TestLinearOnSequences(LayerSuite):
    layer = nn.Linear(20, 12, bias=False)
    five = (0, 4, 4, 0, 6)
    input_shape = (2, 3, 20)
    forms = frozenset({"dense", "level2"})


class TestPlainLinear(LayerSuite):
    layer = nn.Linear(20, 12)
    five = (0, 0, 8, 0, 0)
    input_shape = (20,)
    forms = frozenset({"dense"})


def test_the_class_is_set_and_still_a_convolution() -> None:
    module = compressed(conv(6, 16, 3), LayerSetting(2, 5, 3, 6, 4))
    assert isinstance(module, MlgConv2d)
    assert is_compressed(module)
    assert not is_compressed(conv(6, 16, 3))
    assert isinstance(compressed(nn.Linear(9, 9), LayerSetting.plain(8)), MlgLinear)


def test_the_form_follows_the_inputs_size_and_the_mode() -> None:
    module = compressed(conv(64, 64, 3, padding=1), LayerSetting(2, 20, 3, 6, 3))
    module(torch.randn(1, 64, 1, 1))
    module.eval()(torch.randn(1, 64, 1, 1))
    module(torch.randn(16, 64, 32, 32))
    assert module.forms == {
        ("auto", True, 1, 64, 1, 1): "level2",  # the whole weight is dear to generate
        ("auto", False, 1, 64, 1, 1): "dense",
        ("auto", False, 16, 64, 32, 32): "three_stage",
    }


def test_another_form_may_be_forced_at_any_time() -> None:
    module, x = compressed(conv(6, 16, 3), LayerSetting(2, 5, 3, 6, 4)), torch.randn(2, 6, 8, 8)
    for execution in ("three_stage", "dense", "level2"):
        module.execution = execution
        module(x)
        assert list(module.forms.values())[-1] == execution


@pytest.mark.parametrize(
    ("layer", "size", "execution"),
    [
        (conv(6, 16, 3), (6, 8, 8), "auto"),
        (conv(6, 16, 3), (6, 8, 8), "three_stage"),
        (nn.Linear(20, 12), (20,), "auto"),
    ],
)
def test_a_layer_is_exported_with_the_batch_left_open(
    layer: nn.Conv2d | nn.Linear, size: tuple[int, ...], execution: Execution
) -> None:
    module = compressed(layer, LayerSetting(2, 5, 3, 6, 4), execution=execution)
    batch = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(module, (torch.ones(2, *size),), dynamic_shapes=({0: batch},))
    x = torch.randn(5, *size)
    torch.testing.assert_close(exported.module()(x), module(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layer", [conv(6, 16, 3), nn.Linear(20, 12)])
def test_resetting_is_refused(layer: nn.Conv2d | nn.Linear) -> None:
    module = compressed(layer, LayerSetting.plain(8))
    with pytest.raises(SettingError, match="cannot be reset"):
        module.reset_parameters()


def test_a_layer_is_as_it_was_when_its_projection_fails() -> None:
    layer = conv(6, 16, 3)
    with torch.no_grad():
        layer.weight[0, 0, 0, 0] = float("nan")
    found = compressible_layers(layer)[""]
    with pytest.raises(DataError):
        parametrize_layer(found, Mlg(LayerSetting.plain(8), found.shape))
    assert type(layer) is nn.Conv2d
    assert layer(torch.randn(1, 6, 5, 5)).shape == (1, 16, 3, 3)


def test_a_parametrized_weight_is_refused() -> None:
    module = compressed(conv(6, 16, 3), LayerSetting.plain(8))
    found = compressible_layers(module)[""]
    with pytest.raises(SettingError, match="parametrized already"):
        parametrize_layer(found, Mlg(LayerSetting.plain(8), found.shape))


def test_autocast_leaves_generation_in_full_precision() -> None:
    for execution, five in product(FORMS, [(2, 5, 3, 6, 4), (2, 0, 3, 6, 0)]):
        module = compressed(conv(6, 16, 3), LayerSetting(*five), execution=execution)
        x, weight = torch.randn(2, 6, 8, 8), module.weight
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(module.weight, weight)
            assert module.weight.dtype == torch.float32
            output = module(x)
        assert output.dtype == torch.bfloat16
        torch.testing.assert_close(output.float(), module(x), rtol=0.05, atol=0.05)
