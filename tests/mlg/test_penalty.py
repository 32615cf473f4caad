import pytest
import torch
from torch import nn

from mlgsearch.mlg.compress import compress
from mlgsearch.mlg.factoring.parametrization import latents_of, mlg_of
from mlgsearch.mlg.penalty import Orthonormality
from mlgsearch.mlg.quantise import Method
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.records import FiveNumbers


def student(five: FiveNumbers, method: Method = "dorefa", refine_steps: int = 0) -> nn.Sequential:
    model = nn.Sequential(nn.Conv2d(6, 16, 3), nn.Conv2d(16, 4, 3))
    settings = {"0": LayerSetting(*five), "1": LayerSetting.plain(8)}
    compress(model, settings, method=method, refine_steps=refine_steps)
    return model


@pytest.mark.parametrize("five", [(2, 5, 8, 8, 8), (2, 0, 8, 8, 0), (0, 5, 8, 0, 8)])
@pytest.mark.parametrize("method", ["dorefa", "lsq"])
def test_a_projected_teacher_starts_near_zero(five: FiveNumbers, method: Method) -> None:
    assert float(Orthonormality(student(five, method))().detach()) < 1e-4
    assert float(Orthonormality(student(five, method, refine_steps=3))().detach()) < 0.3


def test_by_hand_with_both_levels() -> None:
    model = student((2, 5, 32, 32, 32))
    basis, coeff_in, coeff_out = latents_of(model[0])
    with torch.no_grad():
        for latent in (basis, coeff_in, coeff_out):
            latent.normal_()
    expected = 0.0
    for o in range(5):
        rows = basis[o].detach()
        columns = coeff_in[o].detach() / coeff_in[o].detach().norm(dim=0)
        for gram in (rows @ rows.T, columns.T @ columns):
            expected += float((gram - torch.eye(2)).square().mean()) / 5
    columns = coeff_out.detach() / coeff_out.detach().norm(dim=0)
    expected += float((columns.T @ columns - torch.eye(5)).square().mean())
    assert float(Orthonormality(model)().detach()) == pytest.approx(expected, rel=1e-5)


def test_by_hand_with_level_2_only() -> None:
    model = student((0, 5, 32, 0, 32))
    basis, coeff_out = latents_of(model[0])
    with torch.no_grad():
        basis.normal_()
        coeff_out.normal_()
    rows = basis.detach()
    columns = coeff_out.detach() / coeff_out.detach().norm(dim=0)
    expected = (rows @ rows.T - torch.eye(5)).square().mean()
    expected += (columns.T @ columns - torch.eye(5)).square().mean()
    torch.testing.assert_close(Orthonormality(model)().detach(), expected)


@pytest.mark.parametrize("five", [(1, 1, 8, 8, 8), (1, 0, 8, 8, 0), (0, 1, 8, 0, 8)])
def test_single_vectors_have_no_pair(five: FiveNumbers) -> None:
    model = student(five)
    with torch.no_grad():
        for latent in latents_of(model[0]):
            latent.mul_(3)
    assert float(Orthonormality(model)().detach()) == 0


def test_a_network_without_levels_has_none() -> None:
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(2, 2))
    penalty = Orthonormality(plain)()
    assert penalty.shape == ()
    assert penalty == 0


@pytest.mark.parametrize("method", ["dorefa", "lsq"])
def test_its_gradient_leads_to_orthonormal_vectors(method: Method) -> None:
    model = student((2, 5, 4, 4, 4), method)
    latents = latents_of(model[0])
    with torch.no_grad():
        for latent in latents:
            latent.copy_(torch.randn_like(latent) * 0.5)
    optimizer = torch.optim.Adam(latents, lr=0.02)
    first = float(Orthonormality(model)().detach())
    for _ in range(150):
        optimizer.zero_grad()
        penalty = Orthonormality(model)()
        torch.autograd.backward(penalty)
        optimizer.step()
    assert float(penalty.detach()) < 0.01 * first


def test_a_zero_factor_gives_a_finite_gradient() -> None:
    model = student((2, 5, 8, 8, 8))
    latents = latents_of(model[0])
    with torch.no_grad():
        for latent in latents:
            latent.zero_()
    torch.autograd.backward(Orthonormality(model)())
    for latent in latents:
        assert latent.grad is not None
        assert torch.isfinite(latent.grad).all()


@pytest.mark.parametrize("five", [(2, 5, 4, 4, 4), (2, 0, 4, 4, 0), (0, 5, 4, 0, 4)])
def test_its_gradient_is_that_of_the_formula(five: FiveNumbers) -> None:
    model = student(five)
    latents = latents_of(model[0])
    with torch.no_grad():
        for latent in latents:
            latent.normal_()
        latents[-1][..., 0] = 0  # a vector of no length
    smooth = mlg_of(model[0]).smooth(*latents)
    terms = [smooth.basis]
    for matrix in (smooth.coeff_in, smooth.coeff_out):
        if matrix is not None:
            norms = matrix.detach().norm(dim=-2, keepdim=True).clamp_min(1e-8)
            terms.append((matrix / norms).mT)
    grams = [rows @ rows.mT for rows in terms]
    expected = sum((gram - torch.eye(gram.shape[-1])).square().mean() for gram in grams)
    assert isinstance(expected, torch.Tensor)
    wanted = torch.autograd.grad(3 * expected, latents)

    found = torch.autograd.grad(3 * Orthonormality(model)(), latents)

    for ours, theirs in zip(found, wanted, strict=True):
        assert theirs.abs().sum() > 0
        torch.testing.assert_close(ours, theirs)
