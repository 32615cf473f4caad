"""All factors at once: values and gradients are those of one by one, and of the formula."""

import torch
from torch import Tensor, nn

from mlgsearch.mlg.compress import compress
from mlgsearch.mlg.quantise import Method, SymmetricLsqQuantiser
from mlgsearch.mlg.quantise_together import FactorQuantiser
from mlgsearch.mlg.setting import LayerSetting
from tests.mlg.students import factors


def student(method: Method = "lsq_symmetric", *, tied: bool = False) -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.Conv2d(8, 8, 3, padding=1, bias=False),
        nn.Conv2d(8, 8, 3, padding=1, bias=False),
        nn.Flatten(),
        nn.Linear(8 * 16, 5),
    )
    if tied:
        model[2].weight = model[1].weight
    names = {
        "0": (1, 3, 2, 3, 4),
        "1": (2, 4, 3, 3, 2),
        "2": (0, 0, 5, 0, 0),
        "4": (0, 3, 1, 0, 32),
    }
    if tied:
        del names["2"]
    settings = {name: LayerSetting(*five) for name, five in names.items()}
    compress(model, settings, method=method)
    return model.train()


def gradients(model: nn.Module, *, together: bool) -> dict[str, Tensor]:
    model.zero_grad()
    inputs = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    if together:
        with FactorQuantiser(model).quantised():
            out = model(inputs)
    else:
        out = model(inputs)
    out.square().sum().backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return {"out": out.detach(), **found}


def assert_alike(model: nn.Module) -> None:
    alone, together = (gradients(model, together=together) for together in (False, True))
    assert alone.keys() == together.keys()
    assert len(alone) > len(list(model.parameters())) // 2
    for name, value in alone.items():
        torch.testing.assert_close(together[name], value, rtol=1e-5, atol=1e-5, msg=name)


def test_values_and_gradients_are_those_of_one_by_one() -> None:
    assert_alike(student())


def test_a_tied_weight_gets_the_gradient_of_all_its_places() -> None:
    assert_alike(student(tied=True))


def test_other_methods_quantise_as_before() -> None:
    for method in ("dorefa", "lsq"):
        assert_alike(student(method))


def test_factors_changed_after_the_block_are_quantised_anew() -> None:
    model = student()
    before = factors(model)["1"].basis.detach().clone()
    with FactorQuantiser(model).quantised():
        model(torch.zeros(1, 3, 4, 4))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    assert not torch.equal(factors(model)["1"].basis, before)


def test_a_step_of_zero_stays_zero_beside_others() -> None:
    model = student()
    quantiser = next(m for m in model.modules() if isinstance(m, SymmetricLsqQuantiser))
    quantiser.scale.zero_()
    found = gradients(model, together=True)
    assert all(torch.isfinite(value).all() for value in found.values())
    assert_alike(model)


def test_a_subclass_that_quantises_otherwise_is_left_to_itself() -> None:
    class Doubled(SymmetricLsqQuantiser):
        def forward(self, latent: Tensor) -> Tensor:
            return 2 * super().forward(latent)

    model = student()
    quantiser = next(m for m in model.modules() if isinstance(m, SymmetricLsqQuantiser))
    quantiser.__class__ = Doubled
    assert_alike(model)
