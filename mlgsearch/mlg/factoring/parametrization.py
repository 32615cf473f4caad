"""MLG as a parametrization: a weight that is generated from one to three factors."""

from collections.abc import Iterator, Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList

from mlgsearch.errors import SettingError
from mlgsearch.mlg.factoring.factors import Factors
from mlgsearch.mlg.factoring.projection import project
from mlgsearch.mlg.layout import from_layout, to_layout
from mlgsearch.mlg.quantise import Method, Quantiser, make_quantiser
from mlgsearch.mlg.setting import LayerSetting, LayerShape


class Mlg(nn.Module):
    """Generates a layer's weight; use with ``torch.nn.utils.parametrize.register_parametrization``.

    The trained tensors (``original0`` and so on) are the *latents* of the factors that exist, in
    the order ``basis``, ``coeff_in``, ``coeff_out``. Assigning the layer's weight projects it. The
    setting cannot be changed afterwards: compress a fresh network instead.

    ``relative_error`` is that of the last projection, NaN before the first; training the latents or
    loading others does not change it. Without ``projects`` the weight that the layer has is dropped
    and the latents are zero, for one who loads a state next; any later weight is projected.

    ``noise_ratio`` is the probability with which an entry is quantised in training mode: below 1
    each use draws anew, from torch's generator, which entries are rounded; the others keep their
    smooth value, whose gradient is exact. Eval mode quantises all.
    Source: Fan et al. 2020, "Training with Quantization Noise for Extreme Model Compression"
    (Quant-Noise, arXiv 2004.07320), with blocks of one entry.

    Raises:
        SettingError: the setting is not canonical for the shape, the method is unknown, or the
            noise ratio is not in (0, 1].
    """

    def __init__(
        self,
        setting: LayerSetting,
        shape: LayerShape,
        method: Method = "dorefa",
        refine_steps: int = 3,
        noise_ratio: float = 1.0,
        *,
        projects: bool = True,
    ) -> None:
        super().__init__()
        if not 0 < noise_ratio <= 1:
            raise SettingError(f"noise_ratio is {noise_ratio!r}, expected 0 < noise_ratio <= 1")
        self.noise_ratio = noise_ratio
        self._projects = projects
        self._setting = setting
        self._shape = shape
        self.refine_steps = refine_steps
        self.relative_error = float("nan")
        #: Quantised factors that hold for now, by name: see `quantise_together`.
        self.ready: dict[str, Tensor] = {}
        bits = setting.factor_bits
        factor_shapes = setting.factor_shapes(shape)
        self.names = tuple(name for name in bits if name in factor_shapes)
        self._latent_shapes = tuple(factor_shapes[name] for name in self.names)
        self.quantisers = nn.ModuleDict(
            {name: make_quantiser(method, bits[name]) for name in self.names}
        )

    @property
    def setting(self) -> LayerSetting:
        """The canonical setting."""
        return self._setting

    @property
    def shape(self) -> LayerShape:
        """The shape of the layer."""
        return self._shape

    def forward(self, *latents: Tensor) -> Tensor:
        """Generate the weight as the layer has it, in the latents' dtype."""
        weight = self.multiplied(*latents).weight(self._shape.canonical_shape)
        return to_layout(weight, self._shape)

    def multiplied(self, *latents: Tensor) -> Factors:
        """Return the factors of a pass: the one place that dense and factored forms take them from.

        They are the quantised ones, but for the noise in training mode.

        Raises:
            SettingError: the latents are not those of this setting.
        """
        quantised = self.quantised(*latents)
        if self.noise_ratio == 1 or not self.training:
            return quantised
        values = {}
        for name, latent in zip(self.names, latents, strict=True):
            values[name] = getattr(quantised, name)
            if self._quantiser(name).bits < 32:
                is_quantised = torch.rand_like(latent) < self.noise_ratio
                smooth = self._quantiser(name).smooth(latent)
                values[name] = torch.where(is_quantised, values[name], smooth)
        return Factors(self._setting, **values)

    def quantised(self, *latents: Tensor) -> Factors:
        """Return the quantised factors.

        Raises:
            SettingError: the latents are not those of this setting.
        """
        shapes = [tuple(latent.shape) for latent in latents]
        if shapes != list(self._latent_shapes):
            raise SettingError(
                f"setting {self._setting.five} has factors of shapes {self._latent_shapes}, "
                f"got {shapes}"
            )
        values = {
            name: self.ready[name] if name in self.ready else self._quantiser(name)(latent)
            for name, latent in zip(self.names, latents, strict=True)
        }
        return Factors(self._setting, **values)

    def smooth(self, *latents: Tensor) -> Factors:
        """Return the factors before rounding, which the penalty looks at."""
        values = {
            name: self._quantiser(name).smooth(t)
            for name, t in zip(self.names, latents, strict=True)
        }
        return Factors(self._setting, **values)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, ...]:
        """Project a weight: set the quantisers' scales and give the latents.

        The first weight of all is not, where so asked at construction: then the latents are zero.

        Raises:
            SettingError: the weight does not have the layer's shape.
            DataError: the weight holds a value that is not finite.
            RuntimeError: an operation of the projection is missing on the weight's device.
        """
        expected = self._shape.weight_shape
        if tuple(weight.shape) != expected:
            raise SettingError(f"expected a weight of shape {expected}, got {tuple(weight.shape)}")
        self.quantisers.to(weight.device)
        if not self._projects:
            self._projects = True
            return tuple(weight.new_zeros(shape) for shape in self._latent_shapes)
        quantisers = {name: self._quantiser(name) for name in self.names}
        try:
            canonical = from_layout(weight, self._shape)
            projection = project(
                canonical, self._setting, self._shape, quantisers, self.refine_steps
            )
        except NotImplementedError as error:
            # parametrize takes a NotImplementedError for "there is no right_inverse"
            # (ParametrizationList.__init__ of torch 2.14) and goes on without.
            raise RuntimeError(f"cannot project on {weight.device}: {error}") from error
        self.relative_error = projection.relative_error
        return tuple(projection.latents[name].contiguous() for name in self.names)

    def extra_repr(self) -> str:
        """Show the five numbers."""
        return f"{self._setting.five}"

    def _quantiser(self, name: str) -> Quantiser:
        return cast(Quantiser, self.quantisers[name])


class DecodedMlg(Mlg):
    """``Mlg`` whose tensors are the factors themselves, quantised before and given at construction.

    Nothing is rounded or trained. Registering it does not project: the weight that the layer had is
    dropped.

    Raises:
        SettingError: the setting is not canonical for the shape.
    """

    def __init__(
        self, setting: LayerSetting, shape: LayerShape, values: Mapping[str, Tensor]
    ) -> None:
        super().__init__(setting, shape)
        for name in self.names:
            self.quantisers[name] = Quantiser(self._quantiser(name).bits)
        self._values: tuple[Tensor, ...] | None = tuple(values[name] for name in self.names)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, ...]:
        """Return the factors, once.

        Raises:
            SettingError: the layer has its factors already: an assigned weight cannot be kept.
        """
        if self._values is None:
            raise SettingError("a packed layer's weight is fixed: it cannot be assigned")
        values, self._values = self._values, None
        return values


def parametrizations(network: nn.Module) -> Iterator[tuple[tuple[nn.Parameter, ...], Mlg]]:
    """Yield the latents of each compressed weight, and what generates it; of tied ones, once."""
    for module in network.modules():
        if isinstance(module, ParametrizationList) and isinstance(module[0], Mlg):
            mlg = module[0]
            yield latents_in(module, mlg), mlg


def latents_in(kept: ParametrizationList, mlg: Mlg) -> tuple[nn.Parameter, ...]:
    """Return the trained tensors among what torch keeps of a compressed weight."""
    return tuple(getattr(kept, f"original{i}") for i in range(len(mlg.names)))


def parametrization_of(module: nn.Module, parameter: str = "weight") -> ParametrizationList:
    """Return what torch keeps of a compressed weight."""
    return cast(ParametrizationList, cast(nn.ModuleDict, module.parametrizations)[parameter])


def mlg_of(module: nn.Module, parameter: str = "weight") -> Mlg:
    """Return what generates a compressed weight."""
    return cast(Mlg, parametrization_of(module, parameter)[0])


def latents_of(module: nn.Module, parameter: str = "weight") -> tuple[nn.Parameter, ...]:
    """Return a compressed weight's trained tensors: basis, coeff_in, coeff_out as they exist."""
    return latents_in(parametrization_of(module, parameter), mlg_of(module, parameter))


def layer_factors(module: nn.Module, parameter: str = "weight") -> Factors:
    """Return the quantised factors of a compressed weight."""
    return mlg_of(module, parameter).quantised(*latents_of(module, parameter))
