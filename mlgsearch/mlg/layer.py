"""Convolutions and linear layers that run on their factors.

Their class is set on an existing module, and their ``weight`` is parametrized by ``Mlg``: reading
it generates the dense weight. ``init.*_`` on that weight does nothing that lasts.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from mlgsearch.errors import SettingError
from mlgsearch.mlg.convolve import convolve
from mlgsearch.mlg.execution import Execution, choose_form
from mlgsearch.mlg.factors import Factors
from mlgsearch.mlg.input_quantiser import InBits, InputQuantiser
from mlgsearch.mlg.parametrization import Mlg
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


class MlgConv2d(nn.Conv2d):
    """A convolution that is computed from its factors in the form that costs least.

    All forms equal the dense one but for rounding. ``execution`` forces a form; a layer that lacks
    it (see ``LayerSetting.form_macs``) is computed densely. ``kept`` holds the operands once they
    are made, or None where they are made anew each time: see ``generation``. The
    ``input_quantiser``, where there is one, comes before any form.
    """

    execution: Execution
    forms: dict[tuple[str | int, ...], ExecutionForm]  # chosen, by what `_form` tells apart
    kept: Kept | None
    input_quantiser: InputQuantiser | None

    def forward(self, input: Tensor) -> Tensor:
        """Convolve (N, C_in, H, W) or (C_in, H, W)."""
        if not torch.compiler.is_compiling():
            # parametrize makes each layer a class of its own, which defeats CPython's caches of
            # attributes. So the usual layer of a small network is looked up in its dict.
            own = self.__dict__
            kept: Kept | None = own["kept"]
            if kept is not None and own["padding_mode"] == "zeros" and "input_quantiser" in own:
                key = (own["execution"], own["training"], input.shape, input.stride())
                found = kept.by_input.get(key)
                if found is not None and found[0] == "dense":
                    return convolve(
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
            return convolve(hidden, coeff_out, self.bias)
        mix, basis, *last = operands
        # One filter a channel, then a sum: a grouped convolution is slower on a CPU, and so is
        # leaving the sum to the last convolution, which then has B_in times the channels.
        hidden = self._spatial(convolve(input, mix), basis, len(basis))
        rows = last[0].shape[1] if last else self.out_channels
        summed, *others = torch.split(hidden, rows, -3)  # B_in times (N, rows, H_out, W_out)
        for other in others:
            summed = summed + other
        if last:
            return convolve(summed, last[0], self.bias)
        if self.bias is None:
            return summed
        # Under autocast the sum has the lower precision, as a convolution with a bias would.
        return summed + self.bias[:, None, None].to(summed.dtype)

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
        rows = factors.basis.shape[0]
        if form == "level2":
            assert factors.coeff_out is not None
            kernels = factors.kernels().reshape(rows, self.in_channels, *self.kernel_size)
            return kernels, factors.coeff_out[:, :, None, None]
        assert factors.coeff_in is not None
        base_in = factors.basis.shape[1]
        # All rows of the first basis vector, then all of the second: (B_in, rows, ...), flattened.
        mix = factors.coeff_in.permute(2, 0, 1).reshape(rows * base_in, self.in_channels, 1, 1)
        basis = factors.basis.transpose(0, 1).reshape(rows * base_in, 1, *self.kernel_size)
        if factors.coeff_out is None:
            return mix, basis
        return mix, basis, factors.coeff_out[:, :, None, None]

    def _spatial(
        self, input: Tensor, weight: Tensor, groups: int, bias: Tensor | None = None
    ) -> Tensor:
        """Convolve with this layer's stride, padding and dilation."""
        stride: Any = self.stride
        padding: Any = self.padding
        dilation: Any = self.dilation
        if self.padding_mode != "zeros":
            input = F.pad(input, self._reversed_padding_repeated_twice, mode=self.padding_mode)
            padding = (0, 0)
        return convolve(input, weight, bias, stride, padding, dilation, groups)

    def _workload(self, input: Tensor) -> tuple[LayerShape, int]:
        left, right, top, bottom = self._reversed_padding_repeated_twice
        out_positions = 1
        for at, padding in ((-2, top + bottom), (-1, left + right)):
            reach = self.dilation[at] * (self.kernel_size[at] - 1)
            out_positions *= (input.shape[at] + padding - reach - 1) // self.stride[at] + 1
        in_positions = input.shape[-2] * input.shape[-1]
        shape = replace(mlg_of(self).shape, out_positions=out_positions, in_positions=in_positions)
        return shape, input.shape[0] if input.dim() == 4 else 1

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        _forget(self)  # what was kept is on the old device, in the old type
        applied: Self = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return applied

    def _load_from_state_dict(self, *args: Any) -> None:
        _forget(self)
        super()._load_from_state_dict(*args)


class MlgLinear(nn.Linear):
    """A linear layer that is computed from its factors where that costs less.

    ``execution`` forces a form; a layer that lacks it is computed densely. ``kept`` and
    ``input_quantiser`` are as in ``MlgConv2d``.
    """

    execution: Execution
    forms: dict[tuple[str | int, ...], ExecutionForm]  # chosen, by what `_form` tells apart
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


#: The class that takes over from each plain class; a subclass keeps its own, and its dense forward.
TWINS: dict[type[nn.Module], type[MlgConv2d | MlgLinear]] = {
    nn.Conv2d: MlgConv2d,
    nn.Linear: MlgLinear,
}


def parametrize_layer(
    module: nn.Conv2d | nn.Linear, mlg: Mlg, execution: Execution = "auto", in_bits: InBits = 32
) -> None:
    """Compress one layer in place: set its class, project its weight, make the factors trainable.

    Below 32 ``in_bits`` its inputs are quantised, if it can (see ``can_quantise_input``).

    Raises:
        SettingError: the weight is parametrized already, or does not have the shape of ``mlg``.
        DataError: the weight holds a value that is not finite.
    """
    if parametrize.is_parametrized(module, "weight"):
        raise SettingError("the layer's weight is parametrized already")
    original = type(module)
    if original in TWINS:
        module.__class__ = TWINS[original]
        module.execution = execution  # type: ignore[assignment]
        module.forms = {}  # type: ignore[assignment]
        module.kept = None  # type: ignore[assignment]
        module.input_quantiser = None  # type: ignore[assignment]
    mlg.train(module.training)
    try:
        parametrize.register_parametrization(module, "weight", mlg)
    except Exception:
        module.__class__ = original
        raise
    for latent in latents_of(module):
        latent.requires_grad_()  # a frozen teacher's factors would be frozen
    if in_bits != 32 and isinstance(module, MlgConv2d | MlgLinear):
        quantiser = InputQuantiser(in_bits).to(latents_of(module)[0])
        module.input_quantiser = quantiser.train(module.training)


def can_quantise_input(module: nn.Module) -> bool:
    """Tell whether a layer is, or would be, computed in our forms: no subclass of torch's is."""
    return type(module) in TWINS or isinstance(module, MlgConv2d | MlgLinear)


def is_compressed(module: nn.Module) -> bool:
    """Tell whether a module's weight is generated by ``Mlg``."""
    return parametrize.is_parametrized(module, "weight") and isinstance(
        _parametrization(module)[0], Mlg
    )


def mlg_of(module: nn.Module) -> Mlg:
    """Give the parametrization of a compressed layer."""
    return cast(Mlg, _parametrization(module)[0])


def latents_of(module: nn.Module) -> tuple[nn.Parameter, ...]:
    """Give the trained tensors of a compressed layer: basis, coeff_in, coeff_out as they exist."""
    kept = _parametrization(module)
    return tuple(getattr(kept, f"original{i}") for i in range(len(mlg_of(module).names)))


def layer_factors(module: nn.Module) -> Factors:
    """Give the quantised factors of a compressed layer."""
    return mlg_of(module).quantised(*latents_of(module))


def _form_and_operands(
    module: MlgConv2d | MlgLinear, input: Tensor
) -> tuple[ExecutionForm, Operands]:
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


def _form(module: MlgConv2d | MlgLinear, input: Tensor) -> ExecutionForm:
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


def _forget(module: MlgConv2d | MlgLinear) -> None:
    if getattr(module, "kept", None) is not None:
        module.kept = Kept()


def _parametrization(module: nn.Module) -> parametrize.ParametrizationList:
    return cast(
        parametrize.ParametrizationList, cast(nn.ModuleDict, module.parametrizations)["weight"]
    )
