"""Convolutions and linear layers that run on their factors.

Their class is set on an existing module, and their ``weight`` is parametrized by ``Mlg``: reading
it generates the dense weight. ``init.*_`` on that weight does nothing that lasts.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from mlgsearch.errors import SettingError
from mlgsearch.mlg.factoring.factors import Factors
from mlgsearch.mlg.factoring.parametrization import Mlg
from mlgsearch.mlg.input_quantiser import InBits, InputQuantiser
from mlgsearch.mlg.kinds import Layer, compressed_weights
from mlgsearch.mlg.running.composite import COMPOSITES
from mlgsearch.mlg.running.convolve import convolve
from mlgsearch.mlg.running.execution import Execution, choose_form
from mlgsearch.mlg.setting import ExecutionForm, LayerShape

#: The weights that a form multiplies, in the order in which it does.
Operands = tuple[Tensor, ...]


@dataclass
class Kept:
    """The operands of a layer that were made once, and which of them an input is met with.

    ``by_input`` spares a layer that is called again with an input of the same kind all thought: in
    small networks that took as long as the convolutions.
    """

    operands: dict[ExecutionForm, Operands] = field(default_factory=dict)
    by_input: dict[tuple[object, ...], tuple[ExecutionForm, Operands]] = field(default_factory=dict)


class MlgConvolution(nn.modules.conv._ConvNd):
    """A convolution that is computed from its factors in the form that costs least.

    All forms equal the dense one but for rounding. ``execution`` forces a form; a layer that lacks
    it (see ``LayerSetting.form_macs``) is computed densely. ``kept`` holds the operands once they
    are made, or None where they are made anew each time: see ``generation``. The
    ``input_quantiser``, where there is one, comes before any form.
    """

    execution: Execution
    forms: dict[tuple[str | int, ...], ExecutionForm]  # chosen, by what `_form` distinguishes
    kept: Kept | None
    input_quantiser: InputQuantiser | None
    _convolve: Callable[..., Tensor]

    def forward(self, input: Tensor) -> Tensor:
        """Convolve (N, C_in, H, W) or (C_in, H, W); in other dimensions likewise."""
        if not torch.compiler.is_compiling():
            # parametrize makes each layer a class of its own, which defeats CPython's caches of
            # attributes. So the usual layer of a small network is looked up in its dict.
            own = self.__dict__
            kept: Kept | None = own["kept"]
            if kept is not None and own["padding_mode"] == "zeros" and "input_quantiser" in own:
                key = (own["execution"], own["training"], input.shape, input.stride())
                found = kept.by_input.get(key)
                if found is not None and found[0] == "dense":
                    return self._convolve(
                        input,
                        found[1][0],
                        own["_parameters"]["bias"],
                        own["stride"],
                        own["padding"],
                        own["dilation"],
                        own["groups"],
                    )
        if self.input_quantiser is not None:
            input = self.input_quantiser(input)
        form, operands = _form_and_operands(self, input)
        if form == "dense":
            return self._spatial(input, operands[0], self.groups, self.bias)
        if form == "level2":
            kernels, coeff_out = operands
            hidden = self._spatial(input, kernels, 1)  # (N, B_out, H_out, W_out)
            return self._convolve(hidden, coeff_out, self.bias)
        mix, basis, *last = operands
        # One filter a channel, then a sum: a grouped convolution is slower on a CPU, and so is
        # leaving the sum to the last convolution, which then has B_in times the channels.
        hidden = self._spatial(self._convolve(input, mix), basis, len(basis))
        rows = last[0].shape[1] if last else self.out_channels
        channels_at = -1 - len(self.kernel_size)
        summed, *others = torch.split(
            hidden, rows, channels_at
        )  # B_in times (N, rows, H_out, W_out)
        for other in others:
            summed = summed + other
        if last:
            return self._convolve(summed, last[0], self.bias)
        if self.bias is None:
            return summed
        # Under autocast the sum has the lower precision, as a convolution with a bias would.
        return summed + self.bias.reshape(-1, *self._ones).to(summed.dtype)

    def reset_parameters(self) -> None:
        """Refuse: new random weights would be forgotten at once.

        Raises:
            SettingError: always.
        """
        raise SettingError("a compressed layer cannot be reset: assign its weight to project it")

    @property
    def _ones(self) -> tuple[int, ...]:
        """The kernel of a 1x1 convolution."""
        return (1,) * len(self.kernel_size)

    def _make_operands(self, form: ExecutionForm) -> Operands:
        if form == "dense":
            return (self.weight,)
        factors = mlg_of(self).multiplied(*latents_of(self))
        rows = factors.basis.shape[0]
        if form == "level2":
            assert factors.coeff_out is not None
            kernels = factors.kernels().reshape(rows, self.in_channels, *self.kernel_size)
            return kernels, factors.coeff_out.reshape(*factors.coeff_out.shape, *self._ones)
        assert factors.coeff_in is not None
        base_in = factors.basis.shape[1]
        # All rows of the first basis vector, then all of the second: (B_in, rows, ...), flattened.
        mix = factors.coeff_in.permute(2, 0, 1)
        mix = mix.reshape(rows * base_in, self.in_channels, *self._ones)
        basis = factors.basis.transpose(0, 1).reshape(rows * base_in, 1, *self.kernel_size)
        if factors.coeff_out is None:
            return mix, basis
        return mix, basis, factors.coeff_out.reshape(*factors.coeff_out.shape, *self._ones)

    def _spatial(
        self, input: Tensor, weight: Tensor, groups: int, bias: Tensor | None = None
    ) -> Tensor:
        """Convolve with this layer's stride, padding and dilation."""
        stride: Any = self.stride
        padding: Any = self.padding
        dilation: Any = self.dilation
        if self.padding_mode != "zeros":
            input = F.pad(input, self._reversed_padding_repeated_twice, mode=self.padding_mode)
            padding = (0,) * len(self.kernel_size)
        return self._convolve(input, weight, bias, stride, padding, dilation, groups)

    def _workload(self, input: Tensor) -> tuple[LayerShape, int]:
        both_ends = self._reversed_padding_repeated_twice  # of the last side first
        sides = len(self.kernel_size)
        out_positions = 1
        for at in range(-1, -1 - sides, -1):
            padding = both_ends[-2 * at - 2] + both_ends[-2 * at - 1]
            reach = self.dilation[at] * (self.kernel_size[at] - 1)
            out_positions *= (input.shape[at] + padding - reach - 1) // self.stride[at] + 1
        in_positions = prod(input.shape[-sides:])
        shape = replace(mlg_of(self).shape, out_positions=out_positions, in_positions=in_positions)
        return shape, input.shape[0] if input.dim() == 2 + sides else 1

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        _forget(self)  # what was kept is on the old device, in the old type
        applied: Self = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return applied

    def _load_from_state_dict(self, *args: Any) -> None:
        _forget(self)
        super()._load_from_state_dict(*args)


class MlgConv1d(MlgConvolution, nn.Conv1d):
    """``Conv1d`` on its factors."""

    _convolve = staticmethod(F.conv1d)


class MlgConv2d(MlgConvolution, nn.Conv2d):
    """``Conv2d`` on its factors."""

    _convolve = staticmethod(convolve)


class MlgConv3d(MlgConvolution, nn.Conv3d):
    """``Conv3d`` on its factors."""

    _convolve = staticmethod(F.conv3d)


class MlgLinear(nn.Linear):
    """A linear layer that is computed from its factors where that costs less.

    ``execution`` forces a form; a layer that lacks it is computed densely. ``kept`` and
    ``input_quantiser`` are as in ``MlgConv2d``.
    """

    execution: Execution
    forms: dict[tuple[str | int, ...], ExecutionForm]  # chosen, by what `_form` distinguishes
    kept: Kept | None
    input_quantiser: InputQuantiser | None

    def forward(self, input: Tensor) -> Tensor:
        """Map (..., C_in) to (..., C_out)."""
        if self.input_quantiser is not None:
            input = self.input_quantiser(input)
        form, operands = _form_and_operands(self, input)
        if form == "dense":
            return F.linear(input, operands[0], self.bias)
        basis, coeff_out = operands
        return F.linear(F.linear(input, basis), coeff_out, self.bias)

    def reset_parameters(self) -> None:
        """Refuse: new random weights would be forgotten at once.

        Raises:
            SettingError: always.
        """
        raise SettingError("a compressed layer cannot be reset: assign its weight to project it")

    def _make_operands(self, form: ExecutionForm) -> Operands:
        if form == "dense":
            return (self.weight,)
        factors = mlg_of(self).multiplied(*latents_of(self))
        assert factors.coeff_out is not None
        return factors.basis, factors.coeff_out

    def _workload(self, input: Tensor) -> tuple[LayerShape, int]:
        shape = replace(mlg_of(self).shape, out_positions=1, in_positions=1)
        return shape, input.numel() // self.in_features

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        _forget(self)
        applied: Self = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return applied

    def _load_from_state_dict(self, *args: Any) -> None:
        _forget(self)
        super()._load_from_state_dict(*args)


#: What has forms of its own.
OwnForms = MlgConvolution | MlgLinear

#: The class that takes over from each plain class; a subclass keeps its own, and its dense forward.
TWINS: dict[type[nn.Module], type[nn.Module]] = {
    nn.Conv1d: MlgConv1d,
    nn.Conv2d: MlgConv2d,
    nn.Conv3d: MlgConv3d,
    nn.Linear: MlgLinear,
    **COMPOSITES,
}


def parametrize_layer(
    layer: Layer, mlg: Mlg, execution: Execution = "auto", in_bits: InBits = 32
) -> None:
    """Compress one layer in place: set its class, project its weight, make the factors trainable.

    Every place that is tied to it gets the same factors. Below 32 ``in_bits`` its inputs are
    quantised, if it can (see ``can_quantise_input``).

    Raises:
        SettingError: the weight is parametrized already, or does not have the shape of ``mlg``.
        DataError: the weight holds a value that is not finite.
    """
    if parametrize.is_parametrized(layer.module, layer.parameter):
        raise SettingError("the layer's weight is parametrized already")
    module, original = layer.module, type(layer.module)
    _adopt(module, execution)
    mlg.train(module.training)
    try:
        parametrize.register_parametrization(module, layer.parameter, mlg)
    except Exception:
        module.__class__ = original
        raise
    for latent in latents_of(module, layer.parameter):
        latent.requires_grad_()  # a frozen teacher's factors would be frozen
    for other, parameter in layer.tied:
        _tie(other, parameter, layer, execution)
    if in_bits != 32:
        for place in layer.alike:
            if isinstance(place, OwnForms):
                quantiser = InputQuantiser(in_bits).to(latents_of(module)[0])
                place.input_quantiser = quantiser.train(place.training)


def _adopt(module: nn.Module, execution: Execution) -> None:
    """Set the class of a plain module that has a twin."""
    if type(module) in TWINS:
        module.__class__ = TWINS[type(module)]
        if isinstance(module, OwnForms):
            module.execution = execution
            module.forms = {}
            module.kept = None
            module.input_quantiser = None


def _tie(module: nn.Module, parameter: str, owner: Layer, execution: Execution) -> None:
    """Let a module generate a weight from the factors of another.

    ``register_parametrization`` makes factors of its own, so its steps are taken one by one (torch
    2.14); the throw-away parametrization lets it make the class and the property.
    """
    if module in owner.alike:  # forms follow from the shape
        _adopt(module, execution)
    elif type(module) in COMPOSITES:
        module.__class__ = COMPOSITES[type(module)]
    parametrize.register_parametrization(module, parameter, nn.Identity(), unsafe=True)
    lists = cast(nn.ModuleDict, module.parametrizations)
    lists[parameter] = _parametrization(owner.module, owner.parameter)


def avoid_fast_path(model: nn.Module) -> None:
    """Let torch's transformer layers call their parts, in place.

    In eval mode they read the weights of their linear layers and do the rest in a kernel of their
    own (torch 2.14), past input quantisers and forms.
    """
    for module in model.modules():
        if isinstance(module, nn.TransformerEncoderLayer):
            module.activation_relu_or_gelu = 0


def can_quantise_input(module: nn.Module) -> bool:
    """Return whether a layer is, or would be, computed in our forms: no subclass of torch's is."""
    twin = TWINS.get(type(module), type(module))
    return issubclass(twin, OwnForms)


def is_compressed(module: nn.Module, parameter: str = "weight") -> bool:
    """Return whether a module's weight is generated by ``Mlg``."""
    return parameter in compressed_weights(module)


def mlg_of(module: nn.Module, parameter: str = "weight") -> Mlg:
    """Return the parametrization of a compressed layer."""
    return cast(Mlg, _parametrization(module, parameter)[0])


def latents_of(module: nn.Module, parameter: str = "weight") -> tuple[nn.Parameter, ...]:
    """Return a compressed layer's trained tensors: basis, coeff_in, coeff_out as they exist."""
    kept, mlg = _parametrization(module, parameter), mlg_of(module, parameter)
    return tuple(getattr(kept, f"original{i}") for i in range(len(mlg.names)))


def layer_factors(module: nn.Module, parameter: str = "weight") -> Factors:
    """Return the quantised factors of a compressed layer."""
    return mlg_of(module, parameter).quantised(*latents_of(module, parameter))


def _form_and_operands(module: OwnForms, input: Tensor) -> tuple[ExecutionForm, Operands]:
    """Choose the form to compute a layer in, and return its weights: kept or new ones."""
    kept = module.kept
    if kept is None or torch.compiler.is_compiling():
        form = _form(module, input)
        operands = module._make_operands(form)
        return form, _to_channels_last(operands) if _is_one_channel(input) else operands
    key = (module.execution, module.training, input.shape, input.stride())
    found = kept.by_input.get(key)
    if found is None:
        form = _form(module, input)
        # Made as ordinary tensors, for one of inference mode may enter no graph later.
        with torch.inference_mode(False), torch.no_grad():
            if form not in kept.operands:
                kept.operands[form] = tuple(t.detach() for t in module._make_operands(form))
            operands = kept.operands[form]
            if _is_one_channel(input) or _is_channels_last(input):
                operands = _to_channels_last(operands)  # torch would do so in each call
        found = kept.by_input[key] = form, operands
    return found


def _form(module: OwnForms, input: Tensor) -> ExecutionForm:
    """Return the form to compute a layer in, remembered by execution, mode and input shape."""
    if any(isinstance(size, torch.SymInt) for size in input.shape):
        # torch.export leaves a size open: there are no costs to compare.
        mlg = mlg_of(module)
        forced: Execution = "dense" if module.execution == "auto" else module.execution
        return choose_form(mlg.setting, mlg.shape, 1, forced)
    # Evaluation has its weights at hand; so has a packed network, which must choose alike.
    key = (module.execution, module.training, *input.shape)
    if key not in module.forms:
        shape, batch = module._workload(input)
        module.forms[key] = choose_form(
            mlg_of(module).setting, shape, batch, module.execution, generates=module.training
        )
    return module.forms[key]


def _is_one_channel(input: Tensor) -> bool:
    """Whether a batch of images has one channel, which lies the same in either memory layout.

    Then torch convolves in the layout of the weight, so that decides for all layers to come.
    """
    return input.dim() == 4 and input.shape[1] == 1


def _is_channels_last(input: Tensor) -> bool:
    """Whether a tensor is channels_last, and not contiguous as well."""
    return (
        input.dim() == 4
        and not input.is_contiguous()
        and input.is_contiguous(memory_format=torch.channels_last)
    )


def _to_channels_last(operands: Operands) -> Operands:
    """Return operands in channels_last, by their strides as well where the layouts agree."""
    return tuple(
        t
        if t.dim() != 4
        # Where there is one channel, `contiguous` leaves the strides as they are.
        else t.squeeze(1).unsqueeze(-1).permute(0, 3, 1, 2)
        if t.shape[1] == 1
        else t.contiguous(memory_format=torch.channels_last)
        for t in operands
    )


def _forget(module: OwnForms) -> None:
    if getattr(module, "kept", None) is not None:
        module.kept = Kept()


def _parametrization(module: nn.Module, parameter: str) -> parametrize.ParametrizationList:
    return cast(
        parametrize.ParametrizationList, cast(nn.ModuleDict, module.parametrizations)[parameter]
    )
