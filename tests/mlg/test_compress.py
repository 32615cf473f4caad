import pickle
from collections.abc import Callable
from copy import deepcopy
from math import isnan
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from mlgsearch.errors import DataError, SettingError
from mlgsearch.mlg.compress import compress, densify
from mlgsearch.mlg.factoring.parametrization import latents_of
from mlgsearch.mlg.quantise import Method
from mlgsearch.mlg.running.factored_layers import MlgConv2d, MlgLinear
from mlgsearch.mlg.setting import LayerSetting
from tests.mlg.students import factors

SETTINGS = {
    "stem": LayerSetting(2, 5, 3, 6, 4),
    "body.0": LayerSetting(2, 6, 4, 4, 4),
    "body.2": LayerSetting(9, 7, 4, 4, 4),
    "depthwise": LayerSetting(1, 1, 4, 4, 4),
    "exact": LayerSetting(2, 6, 32, 32, 32),
    "head": LayerSetting.plain(8),
    "spare": LayerSetting(3, 99, 32, 8, 8),
}


class Teacher(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, padding=1)
        self.norm = nn.BatchNorm2d(12)
        self.body = nn.Sequential(
            nn.Conv2d(12, 16, 3, stride=2, padding=1, bias=False),
            nn.ReLU(),
            nn.Conv2d(16, 16, 1),
        )
        self.depthwise = nn.Conv2d(16, 16, 3, groups=16, padding=1)
        self.exact = nn.Conv2d(16, 16, 3, padding=1)
        self.head = nn.Linear(16, 10)
        self.spare = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(self.norm(self.stem(x)))
        x = self.exact(self.depthwise(x).relu()).mean((-2, -1))
        logits: Tensor = self.head(x) + self.spare(x)
        return logits


def teacher() -> Teacher:
    torch.manual_seed(5)
    model = Teacher()
    model(torch.randn(8, 3, 8, 8))  # batch-norm statistics that are not the initial ones
    return model.eval()


def student(**kwargs: Any) -> Teacher:
    model = teacher()
    compress(model, SETTINGS, **kwargs)
    return model


def batch() -> Tensor:
    return torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("method", ["dorefa", "lsq"])
def test_errors_are_those_of_the_generated_weights(method: Method) -> None:
    before, after = teacher(), teacher()
    errors = compress(after, SETTINGS, method=method)
    assert list(errors) == list(SETTINGS)
    for name, error in errors.items():
        weight = before.get_submodule(name).weight
        generated = after.get_submodule(name).weight
        assert isinstance(weight, Tensor)
        assert isinstance(generated, Tensor)
        true = float((generated - weight).detach().norm() / weight.detach().norm())
        assert error == pytest.approx(true, abs=1e-6)
    assert errors["spare"] == 0
    assert 0 < errors["head"] < 0.02 < errors["stem"] < 1


def test_full_precision_leaves_the_network_as_it_was() -> None:
    model = teacher()
    expected = model(batch())
    errors = compress(model, dict.fromkeys(SETTINGS, LayerSetting.plain(32)))
    assert set(errors.values()) == {0.0}
    assert type(model.stem) is nn.Conv2d
    assert torch.equal(model(batch()), expected)
    assert factors(model) == {}


def test_the_classes_are_ours_and_a_plain_32_bit_layer_is_untouched() -> None:
    model = student()
    assert isinstance(model.stem, MlgConv2d)
    assert isinstance(model.head, MlgLinear)
    assert type(model.spare) is nn.Linear


def test_a_frozen_teacher_gives_a_trainable_student() -> None:
    model = teacher().requires_grad_(requires_grad=False)
    compress(model, SETTINGS, method="lsq")
    for name in ("stem", "body.0", "head"):
        assert all(latent.requires_grad for latent in latents_of(model.get_submodule(name)))
    model(batch()).square().sum().backward()
    names = {name for name, p in model.named_parameters() if p.grad is not None}
    assert "stem.parametrizations.weight.original2" in names
    assert "stem.parametrizations.weight.0.quantisers.basis.log_step" in names
    assert "spare.weight" not in names


def test_batch_norm_and_biases_are_untouched() -> None:
    before, after = teacher(), student()
    for name, value in before.norm.state_dict().items():
        assert torch.equal(after.norm.state_dict()[name], value)
    torch.testing.assert_close(after.stem.bias, before.stem.bias, rtol=0, atol=0)


def test_factors_are_the_quantised_values() -> None:
    model = student()
    found = factors(model)
    assert list(found) == [name for name in SETTINGS if name != "spare"]
    assert found["stem"].setting.five == (2, 5, 3, 6, 4)
    assert found["body.2"].setting.five == (0, 7, 4, 0, 4)
    assert found["depthwise"].setting.five == (0, 0, 4, 0, 0)
    for name, layer in found.items():
        weight = model.get_submodule(name).weight
        assert isinstance(weight, Tensor)
        assert torch.equal(layer.weight(tuple(weight.shape)), weight)
        bits = layer.setting.q_basis
        assert bits == 32 or len(set(layer.basis.flatten().tolist())) <= 2**bits


@pytest.mark.parametrize("method", ["dorefa", "lsq"])
def test_a_dense_copy_is_plain_and_equal(method: Method) -> None:
    model = student(method=method, execution="dense")
    plain = densify(model)
    assert torch.equal(plain(batch()), model(batch()))
    assert [type(m) for m in plain.modules()] == [type(m) for m in teacher().modules()]
    assert list(plain.state_dict()) == list(teacher().state_dict())
    assert all(p.requires_grad for p in plain.parameters())
    assert not plain.training
    torch.testing.assert_close(plain(batch()), student(method=method)(batch()))


def test_a_dense_copy_shares_nothing_and_leaves_the_student_whole() -> None:
    model = student()
    expected = model(batch())
    plain = densify(model)
    with torch.no_grad():
        for p in plain.parameters():
            p.zero_()
    assert torch.equal(model(batch()), expected)
    assert isinstance(model.stem, MlgConv2d)
    again = pickle.loads(pickle.dumps(deepcopy(plain)))
    assert not again(batch()).any()


def test_noise_is_in_training_alone_and_never_in_a_copy() -> None:
    model = student(noise_ratio=0.5, execution="dense")
    expected = student(execution="dense")(batch())
    assert torch.equal(model(batch()), expected)
    model.train()
    assert not torch.equal(model.stem.weight, student().stem.weight)
    for name, layer in factors(model).items():
        assert torch.equal(layer.basis, factors(student())[name].basis)
    assert torch.equal(densify(model).eval()(batch()), expected)
    model(batch()).square().sum().backward()
    for name in ("stem", "body.0", "head"):
        assert all(latent.grad is not None for latent in latents_of(model.get_submodule(name)))


def test_a_layer_alone_can_be_the_model() -> None:
    layer = nn.Linear(16, 10)
    compress(layer, {"": LayerSetting(0, 3, 4, 0, 4)})
    plain = densify(layer)
    assert type(plain) is nn.Linear
    assert torch.allclose(plain(torch.ones(16)), layer(torch.ones(16)))


def test_a_module_used_twice_stays_one_module() -> None:
    shared = nn.Conv2d(8, 8, 3, padding=1)
    model = nn.Sequential(shared, nn.ReLU(), shared)
    compress(model, {"0": LayerSetting(2, 3, 4, 4, 4)})
    plain = densify(model)
    assert plain[0] is plain[2]  # type: ignore[index]
    x = torch.randn(2, 8, 5, 5)
    torch.testing.assert_close(plain(x), model(x))


def test_a_subclass_keeps_its_class_and_its_forward() -> None:
    class Doubled(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            return 2 * super().forward(input)

    model = nn.Sequential(Doubled(16, 10))
    compress(model, {"0": LayerSetting(0, 3, 4, 0, 4)})
    x = torch.randn(2, 16)
    weight, bias = model[0].weight, model[0].bias
    assert isinstance(weight, Tensor)
    assert isinstance(bias, Tensor)
    torch.testing.assert_close(model(x), 2 * nn.functional.linear(x, weight, bias))
    plain = densify(model)
    assert type(plain[0]) is Doubled  # type: ignore[index]
    torch.testing.assert_close(plain(x), model(x))


@pytest.mark.parametrize("method", ["dorefa", "lsq"])
def test_a_state_goes_into_a_freshly_compressed_network(method: Method) -> None:
    model = student(method=method)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p) * 0.1)
    fresh = Teacher().eval()
    compress(fresh, SETTINGS, method=method, refine_steps=0)
    fresh.load_state_dict(model.state_dict(), strict=True)
    assert torch.equal(fresh(batch()), model(batch()))


def test_a_state_of_other_ranks_is_refused() -> None:
    other = teacher()
    compress(other, {**SETTINGS, "stem": LayerSetting(1, 5, 3, 6, 4)})
    with pytest.raises(RuntimeError, match="size mismatch"):
        other.load_state_dict(student().state_dict())


def test_copies_and_functional_calls_work_and_pickling_raises() -> None:
    model = student()
    copy = deepcopy(model)
    assert torch.equal(copy(batch()), model(batch()))
    state = {n: torch.zeros_like(p) for n, p in model.named_parameters()}
    assert not torch.func.functional_call(model, state, batch()).any()
    assert torch.equal(copy(batch()), model(batch()))
    with pytest.raises(RuntimeError, match="only supported through state_dict"):
        pickle.dumps(model)


def test_training_moves_factored_and_dense_students_alike() -> None:
    found = []
    for execution in ("auto", "dense", "three_stage", "level2"):
        model = student(execution=execution, method="lsq").train()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        for _ in range(3):
            optimizer.zero_grad()
            model(batch()).square().mean().backward()
            optimizer.step()
        found.append(model(batch()).detach())
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-3, atol=1e-4)


def test_compression_is_the_same_every_time() -> None:
    one, two = student().state_dict(), student().state_dict()
    assert one.keys() == two.keys()
    assert all(torch.equal(one[key], two[key]) for key in one)


def _nan(model: Teacher) -> None:
    with torch.no_grad():
        model.exact.weight[0, 0, 0, 0] = float("nan")


@pytest.mark.parametrize(
    ("change", "settings", "kwargs", "error", "message"),
    [
        (None, {"haed": LayerSetting.plain(8)}, {}, SettingError, "did you mean 'head'"),
        (None, {"stem": LayerSetting(2, 0, 8, 0, 0)}, {}, SettingError, "'stem': .*q_coeff_in"),
        (None, {}, {"method": "ternary"}, SettingError, "'stem': .*'ternary'"),
        (None, {}, {"noise_ratio": 2}, SettingError, "'stem': noise_ratio is 2, expected"),
        (None, {}, {"norm_bits": 8}, SettingError, "norm_bits is 8"),
        (None, {}, {"in_bits": 1}, SettingError, "in_bits is 1"),
        (_nan, {}, {}, DataError, "'exact': .*not finite"),
    ],
)
def test_a_fault_is_told_and_nothing_is_changed(
    change: Callable[[Teacher], None] | None,
    settings: dict[str, LayerSetting],
    kwargs: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    model = teacher()
    if change is not None:
        change(model)
    with pytest.raises(error, match=message):
        compress(model, {**SETTINGS, **settings}, **kwargs)
    assert [type(m) for m in model.modules()] == [type(m) for m in teacher().modules()]


def test_a_missing_setting_and_a_second_compression_are_refused() -> None:
    model = teacher()
    with pytest.raises(SettingError, match=r"'stem'.* has no setting"):
        compress(model, {})
    compress(model, SETTINGS)
    with pytest.raises(SettingError, match="'stem': its weight is parametrized already"):
        compress(model, SETTINGS)


def test_a_parametrized_bias_is_refused() -> None:
    layer = nn.Linear(16, 10)  # a plain copy of it could not be made
    parametrize.register_parametrization(layer, "bias", nn.Tanh())
    with pytest.raises(SettingError, match="its bias is parametrized already"):
        compress(layer, {"": LayerSetting(0, 3, 4, 0, 4)})


def test_a_skeleton_is_the_student_once_its_state_is_loaded() -> None:
    trained, skeleton = student(norm_bits=16, in_bits=8), teacher()
    errors = compress(skeleton, SETTINGS, norm_bits=16, in_bits=8, projects=False)
    assert errors.pop("spare") == 0  # plain at 32 bits: it stays the layer it was
    assert all(isnan(error) for error in errors.values())
    assert all(not latent.any() for latent in latents_of(skeleton.body[0]))
    assert {n: p.shape for n, p in skeleton.named_parameters()} == {
        n: p.shape for n, p in trained.named_parameters()
    }
    skeleton.load_state_dict(trained.state_dict())
    x = torch.randn(3, 3, 8, 8)
    assert torch.equal(skeleton.eval()(x), trained.eval()(x))
    first, trained_first = skeleton.body[0], teacher().body[0]
    assert isinstance(trained_first.weight, Tensor)
    first.weight = trained_first.weight.detach()  # from now on a weight is projected
    assert all(latent.any() for latent in latents_of(skeleton.body[0]))
