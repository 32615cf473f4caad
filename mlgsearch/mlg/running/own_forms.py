"""The base of layers that run on their factors: which form they use, and what it multiplies."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, is_autocast_enabled, nn
from torch.compiler import is_compiling

from mlgsearch.errors import SettingError
from mlgsearch.mlg.factoring.parametrization import mlg_of
from mlgsearch.mlg.input_quantiser import InputQuantiser
from mlgsearch.mlg.running.execution import Execution, choose_form
from mlgsearch.mlg.setting import ExecutionForm, LayerShape

#: What a layer of these classes has that its original has not.
OWN_ATTRIBUTES = ("execution", "forms", "kept", "input_quantiser")

#: The weights that a form multiplies, in the order in which it does.
Operands = tuple[Tensor, ...]


class Ready(NamedTuple):
    """The one call of torch's that computes a layer, for inputs like the last one."""

    shape: torch.Size
    stride: tuple[int, ...]
    call: Callable[..., Tensor]
    arguments: tuple[Any, ...]


@dataclass
class Kept:
    """Operands that a layer has generated once, and which of them to use for an input.

    ``by_input`` keeps that choice by the input's shape and strides, ``ready`` what follows from it
    for the last dense input: in small networks choosing takes as long as convolving.
    """

    operands: dict[ExecutionForm, Operands] = field(default_factory=dict)
    by_input: dict[tuple[object, ...], tuple[ExecutionForm, Operands]] = field(default_factory=dict)
    ready: Ready | None = None


class OwnForms(nn.Module):
    """A layer that is computed from its factors in the form that costs least.

    ``execution`` forces a form; a layer that lacks it (see ``LayerSetting.form_macs``) is computed
    densely. ``kept`` holds the operands once they are made, or None where they are made anew each
    time: see ``generation``. The ``input_quantiser``, where there is one, comes before any form.
    """

    execution: Execution
    forms: dict[tuple[str | int, ...], ExecutionForm]  # chosen, by what `_form` distinguishes
    kept: Kept | None
    input_quantiser: InputQuantiser | None

    def forward(self, input: Tensor) -> Tensor:
        """Compute the layer in the form that costs least for such an input."""
        # parametrize makes each layer a class of its own, which defeats CPython's caches of
        # attributes. So what is ready is looked up in the layer's dict.
        kept: Kept | None = self.__dict__["kept"]
        if kept is not None:
            ready = kept.ready
            if (
                ready is not None
                and input.shape == ready.shape
                and input.stride() == ready.stride
                and not is_compiling()
            ):
                return ready.call(input, *ready.arguments)
        return self._compute(input)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; what is ready may depend on any, so none is."""
        if (kept := self.__dict__.get("kept")) is not None:
            kept.ready = None
        super().__setattr__(name, value)

    def _compute(self, input: Tensor) -> Tensor:
        """Choose a form and compute the layer in it."""
        raise NotImplementedError

    def _make_ready(self, input: Tensor, call: Callable[..., Tensor], *arguments: Any) -> None:
        """Keep for inputs like this one the call of torch's that computes the layer densely.

        None is kept in bfloat16, where `convolve` may know a faster one; what is kept before is
        used under autocast as well, which differs by rounding only.
        """
        kept = self.kept
        if (
            kept is not None
            and self.input_quantiser is None
            and input.dtype is torch.float32
            and not is_autocast_enabled("cpu")
            and not is_compiling()
        ):
            kept.ready = Ready(input.shape, input.stride(), call, arguments)

    def reset_parameters(self) -> None:
        """Refuse: new random weights would be forgotten at once.

        Raises:
            SettingError: always.
        """
        raise SettingError("a compressed layer cannot be reset: assign its weight to project it")

    def adopt(self, execution: Execution) -> None:
        """Initialise a plain module whose class was just changed to this one."""
        self.execution = execution
        self.forms = {}
        self.kept = None
        self.input_quantiser = None

    def _make_operands(self, form: ExecutionForm) -> Operands:
        """Return the weights that a form multiplies."""
        raise NotImplementedError

    def _workload(self, input: Tensor) -> tuple[LayerShape, int]:
        """Return the layer's shape with the positions of an input, and the batch's size."""
        raise NotImplementedError

    def _form_and_operands(self, input: Tensor) -> tuple[ExecutionForm, Operands]:
        """Choose the form to compute a layer in, and return its weights: kept or new ones."""
        kept = self.kept
        if kept is None or is_compiling():
            form = self._form(input)
            operands = self._make_operands(form)
            return form, _to_channels_last(operands) if _is_one_channel(input) else operands
        key = (self.execution, self.training, input.shape, input.stride())
        found = kept.by_input.get(key)
        if found is None:
            form = self._form(input)
            # Made as ordinary tensors, for one of inference mode may enter no graph later.
            with torch.inference_mode(False), torch.no_grad():
                if form not in kept.operands:
                    kept.operands[form] = tuple(t.detach() for t in self._make_operands(form))
                operands = kept.operands[form]
                if _is_one_channel(input) or _is_channels_last(input):
                    operands = _to_channels_last(operands)  # torch would do so in each call
            found = kept.by_input[key] = form, operands
        return found

    def _form(self, input: Tensor) -> ExecutionForm:
        """Return the form to compute a layer in, remembered by execution, mode and input shape."""
        if any(isinstance(size, torch.SymInt) for size in input.shape):
            # torch.export leaves a size open: there are no costs to compare.
            mlg = mlg_of(self)
            forced: Execution = "dense" if self.execution == "auto" else self.execution
            return choose_form(mlg.setting, mlg.shape, 1, forced)
        # Evaluation has its weights at hand; so has a packed network, which must choose alike.
        key = (self.execution, self.training, *input.shape)
        if key not in self.forms:
            shape, batch = self._workload(input)
            self.forms[key] = choose_form(
                mlg_of(self).setting, shape, batch, self.execution, generates=self.training
            )
        return self.forms[key]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._forget()  # what was kept is on the old device, in the old type
        applied: Self = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return applied

    def _load_from_state_dict(self, *args: Any) -> None:
        self._forget()
        super()._load_from_state_dict(*args)

    def _forget(self) -> None:
        if getattr(self, "kept", None) is not None:
            self.kept = Kept()


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
