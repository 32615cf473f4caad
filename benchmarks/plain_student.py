"""The other sides of `step.py`: MLG written with torch alone, and the dense network.

Every layer's factors are quantised, the dense weight is generated, with autocast off, and
convolved; the optimiser is torch's own over single tensors. Layout, precision and where the
teacher's logits come from are `step.py`'s to choose.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mlgsearch.mlg.compress import densify
from mlgsearch.mlg.factoring.parametrization import latents_of, mlg_of
from mlgsearch.mlg.kinds import is_compressed
from mlgsearch.mlg.setting import LayerSetting


class PlainWeight(nn.Module):
    """The factors of one layer (trained tensors, DoReFa's gains) and the weight made of them."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        mlg = mlg_of(layer)
        self.shape = mlg.shape.weight_shape
        self.bits: dict[str, int] = {}
        for name, latent in zip(mlg.names, latents_of(layer), strict=True):
            quantiser = mlg.quantisers[name]
            self.bits[name] = int(quantiser.bits)  # type: ignore[arg-type]
            self.register_parameter(name, nn.Parameter(latent.detach().clone()))
            self.register_buffer(f"{name}_gain", torch.as_tensor(getattr(quantiser, "gain", 1.0)))

    def quantised(self, name: str) -> Tensor:
        """Return one factor as it is multiplied."""
        latent: Tensor = getattr(self, name)
        bits = self.bits[name]
        if bits == 32:
            return latent
        squashed = torch.tanh(latent)
        largest = squashed.detach().abs().max()
        steps = 2**bits - 1
        rounded = torch.round((squashed / (2 * largest) + 0.5) * steps) / steps
        levels = largest * (2 * rounded - 1)
        gain: Tensor = getattr(self, f"{name}_gain")
        value: Tensor = gain * (squashed + (levels - squashed).detach())
        return value

    def smooth(self, name: str) -> Tensor:
        """Return one factor as the penalty sees it."""
        latent: Tensor = getattr(self, name)
        gain: Tensor = getattr(self, f"{name}_gain")
        return latent if self.bits[name] == 32 else gain * torch.tanh(latent)

    def forward(self) -> Tensor:
        """Generate the dense weight, in float32."""
        with torch.autocast("cpu", enabled=False):
            weight = self.quantised("basis")
            if "coeff_in" in self.bits:
                weight = self.quantised("coeff_in") @ weight
            if "coeff_out" in self.bits:
                weight = self.quantised("coeff_out") @ weight.flatten(1)
        return weight.reshape(self.shape)

    def penalty(self) -> Tensor:
        """Return the deviation from orthonormal vectors; see `mlgsearch.mlg.penalty`."""
        total = torch.zeros(())
        if "coeff_in" in self.bits:
            if self.smooth("basis").shape[-2] >= 2:
                total = total + _deviation(self.smooth("basis"))
                total = total + _deviation(_unit_columns(self.smooth("coeff_in")).mT)
        elif "coeff_out" in self.bits and self.smooth("basis").shape[0] >= 2:
            total = total + _deviation(self.smooth("basis"))
        if "coeff_out" in self.bits and self.smooth("coeff_out").shape[1] >= 2:
            total = total + _deviation(_unit_columns(self.smooth("coeff_out")).mT)
        return total


class PlainConv2d(nn.Module):
    """A convolution with a generated weight."""

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.weight = PlainWeight(layer)
        self.bias = layer.bias
        self.stride, self.padding = layer.stride, layer.padding
        self.dilation, self.groups = layer.dilation, layer.groups

    def forward(self, x: Tensor) -> Tensor:
        """Generate, then convolve."""
        return F.conv2d(
            x, self.weight(), self.bias, self.stride, self.padding, self.dilation, self.groups
        )


class PlainLinear(nn.Module):
    """A linear layer with a generated weight."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.weight = PlainWeight(layer)
        self.bias = layer.bias

    def forward(self, x: Tensor) -> Tensor:
        """Generate, then multiply."""
        return F.linear(x, self.weight(), self.bias)


def plain_student(student: nn.Module) -> nn.Module:
    """Return a student of the same factors as a compressed one (dorefa), written plainly."""
    plain = densify(student)
    for name, layer in list(student.named_modules()):
        if is_compressed(layer):
            twin = PlainConv2d if isinstance(layer, nn.Conv2d) else PlainLinear
            plain.set_submodule(name, twin(layer))
    return plain


def dense_loss(
    network: nn.Module, logits: Tensor, teacher_logits: Tensor, labels: Tensor
) -> Tensor:
    """Return distillation at weight 0.9 and temperature 4."""
    soft = F.kl_div(
        F.log_softmax(logits / 4, 1), F.softmax(teacher_logits / 4, 1), reduction="batchmean"
    )
    return 0.1 * F.cross_entropy(logits, labels) + 0.9 * 16 * soft


def plain_loss(
    student: nn.Module, logits: Tensor, teacher_logits: Tensor, labels: Tensor
) -> Tensor:
    """Return distillation and 0.001 of the penalty."""
    loss = dense_loss(student, logits, teacher_logits, labels)
    for module in student.modules():
        if isinstance(module, PlainWeight):
            loss = loss + 1e-3 * module.penalty()
    return loss


def _unit_columns(matrix: Tensor) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(matrix.detach(), dim=-2, keepdim=True)
    return matrix / norms.clamp_min(1e-8)


def _deviation(rows: Tensor) -> Tensor:
    gram = rows @ rows.mT
    deviation: Tensor = (gram - torch.eye(gram.shape[-1])).square().mean()
    return deviation


@torch.no_grad()
def plain_projection(
    network: nn.Module, settings: Mapping[str, LayerSetting]
) -> dict[str, list[Tensor]]:
    """Find every layer's factors by one truncated SVD a level, in float32, without bits."""
    found = {}
    for name, setting in settings.items():
        weight = network.get_parameter(f"{name}.weight")
        matrix = weight.detach().flatten(1)
        factors = []
        if setting.base_out:
            u, s, v = torch.linalg.svd(matrix, full_matrices=False)
            factors.append(u[:, : setting.base_out])
            matrix = s[: setting.base_out, None] * v[: setting.base_out]
        if setting.base_in:
            slices = matrix.reshape(len(matrix), weight.shape[1], -1)
            u, s, v = torch.linalg.svd(slices, full_matrices=False)
            factors += [
                u[..., : setting.base_in],
                s[:, : setting.base_in, None] * v[:, : setting.base_in],
            ]
        found[name] = factors
    return found
