"""The kinds of layers that can be compressed, a class each, and the table of them.

A layer is one weight of a module. A further kind is a class here and a line in ``KINDS``; a layout
or a form of its own comes with it in ``setting`` and ``running``.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

from mlgsearch.mlg.factoring.parametrization import Mlg
from mlgsearch.mlg.layout import from_layout, to_layout
from mlgsearch.mlg.setting import LayerKind, LayerShape

#: Positions that a layer reads and writes for one sample: (in, out).
Traffic = tuple[int, int]


class Kind(ABC):
    """What is to be known of one kind of module.

    Weights are named as paths from the module: ``weight``, ``out_proj.weight``.
    """

    modules: ClassVar[tuple[type[nn.Module], ...]]

    @abstractmethod
    def shapes(self, module: nn.Module) -> Mapping[str, LayerShape]:
        """Return the shape of every weight that is the module's own; no positions are known."""

    @abstractmethod
    def traffic(
        self, module: nn.Module, inputs: Sequence[Tensor], output: Tensor
    ) -> Mapping[str, Traffic]:
        """Count the positions of one call, by weight; weights of children may be among them."""

    def vectors(self, module: nn.Module, inputs: Sequence[Tensor]) -> Mapping[str, Tensor]:
        """Return what a call multiplies weights with, (..., groups*C_in), where that is seen."""
        del module, inputs
        return {}


class _Convolution(Kind):
    """``Conv1d``, ``Conv2d``, ``Conv3d``; both levels."""

    modules: ClassVar[tuple[type[nn.Module], ...]] = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
    kind: LayerKind = "conv"

    def shapes(self, module: nn.Module) -> Mapping[str, LayerShape]:
        found = cast(nn.Conv2d, module)
        return {
            "weight": LayerShape(
                self.kind,
                found.out_channels,
                found.in_channels // found.groups,
                tuple(found.kernel_size),
                found.groups,
            )
        }

    def traffic(
        self, module: nn.Module, inputs: Sequence[Tensor], output: Tensor
    ) -> Mapping[str, Traffic]:
        at = -1 - len(cast(nn.Conv2d, module).kernel_size)
        return {"weight": (_positions(inputs[0], at), _positions(output, at))}

    def vectors(self, module: nn.Module, inputs: Sequence[Tensor]) -> Mapping[str, Tensor]:
        return {"weight": inputs[0].movedim(-1 - len(cast(nn.Conv2d, module).kernel_size), -1)}


class _TransposedConvolution(_Convolution):
    """``ConvTranspose1d`` to ``3d``; their weight has its input channels first."""

    modules = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    kind = "conv_transpose"


class _Linear(Kind):
    """``Linear``; level 2."""

    modules = (nn.Linear,)

    def shapes(self, module: nn.Module) -> Mapping[str, LayerShape]:
        found = cast(nn.Linear, module)
        return {"weight": LayerShape("linear", found.out_features, found.in_features)}

    def traffic(
        self, module: nn.Module, inputs: Sequence[Tensor], output: Tensor
    ) -> Mapping[str, Traffic]:
        return {"weight": (_positions(inputs[0], -1), _positions(output, -1))}

    def vectors(self, module: nn.Module, inputs: Sequence[Tensor]) -> Mapping[str, Tensor]:
        return {"weight": inputs[0]}


class _Embedding(Kind):
    """``Embedding``: one row per word; level 2. It multiplies nothing."""

    modules = (nn.Embedding,)

    def shapes(self, module: nn.Module) -> Mapping[str, LayerShape]:
        found = cast(nn.Embedding, module)
        if found.sparse or found.max_norm is not None:  # both act on the weight itself
            return {}
        return {"weight": LayerShape("embedding", found.num_embeddings, found.embedding_dim)}

    def traffic(
        self, module: nn.Module, inputs: Sequence[Tensor], output: Tensor
    ) -> Mapping[str, Traffic]:
        return {"weight": (inputs[0].numel(), inputs[0].numel())}


class _Attention(Kind):
    """``MultiheadAttention``'s projections of query, key and value; level 2.

    Where all have one width they are one weight, ``in_proj_weight``. The module never calls its
    ``out_proj``, so the positions of that are counted here.
    """

    modules = (nn.MultiheadAttention,)
    _APART = ("q_proj_weight", "k_proj_weight", "v_proj_weight")

    def shapes(self, module: nn.Module) -> Mapping[str, LayerShape]:
        found = cast(nn.MultiheadAttention, module)
        width = found.embed_dim
        if found._qkv_same_embed_dim:
            return {"in_proj_weight": LayerShape("attention", 3 * width, width)}
        widths = (width, cast(int, found.kdim), cast(int, found.vdim))
        return {
            name: LayerShape("attention", width, c_in)
            for name, c_in in zip(self._APART, widths, strict=True)
        }

    def traffic(
        self, module: nn.Module, inputs: Sequence[Tensor], output: Tensor
    ) -> Mapping[str, Traffic]:
        tokens = [_positions(tensor, -1) for tensor in inputs[:3]]
        out = {"out_proj.weight": (tokens[0], tokens[0])}
        if cast(nn.MultiheadAttention, module)._qkv_same_embed_dim:
            mean = sum(tokens) // len(tokens)
            return {"in_proj_weight": (mean, mean), **out}
        return {**{n: (t, t) for n, t in zip(self._APART, tokens, strict=True)}, **out}

    def vectors(self, module: nn.Module, inputs: Sequence[Tensor]) -> Mapping[str, Tensor]:
        if cast(nn.MultiheadAttention, module)._qkv_same_embed_dim:
            return {"in_proj_weight": torch.cat([t.flatten(0, -2) for t in inputs[:3]])}
        return dict(zip(self._APART, inputs[:3], strict=True))


class _Recurrent(Kind):
    """``RNN``, ``LSTM``, ``GRU``: the gates' weights for the input and for the hidden state."""

    modules = (nn.RNN, nn.LSTM, nn.GRU)

    def shapes(self, module: nn.Module) -> Mapping[str, LayerShape]:
        names = cast(list[str], module._flat_weights_names)
        return {
            name: LayerShape("recurrent", *_matrix(module, name))
            for name in names
            if name.startswith("weight_") and _is_own(module, name)
        }

    def traffic(
        self, module: nn.Module, inputs: Sequence[Tensor], output: Tensor
    ) -> Mapping[str, Traffic]:
        steps = _positions(inputs[0], -1)
        return dict.fromkeys(self.shapes(module), (steps, steps))

    def vectors(self, module: nn.Module, inputs: Sequence[Tensor]) -> Mapping[str, Tensor]:
        ends = ("weight_ih_l0", "weight_ih_l0_reverse")
        return {name: inputs[0] for name in self.shapes(module) if name in ends}


KINDS: tuple[Kind, ...] = (
    _Convolution(),
    _TransposedConvolution(),
    _Linear(),
    _Embedding(),
    _Attention(),
    _Recurrent(),
)


@dataclass(frozen=True, eq=False)
class Layer:
    """One weight of a network that can be compressed.

    ``name`` is the module's where the weight is its ``weight``, else module and parameter joined by
    a dot. ``tied`` are further places that have the very same weight.
    """

    name: str
    module: nn.Module
    parameter: str
    shape: LayerShape
    tied: tuple[tuple[nn.Module, str], ...] = ()

    @property
    def weight(self) -> Tensor:
        """The weight as its module has it; generated where it is compressed."""
        return cast(Tensor, getattr(self.module, self.parameter))

    @property
    def canonical_weight(self) -> Tensor:
        """The weight as (C_out, C_in, ...)."""
        return from_layout(self.weight, self.shape)

    @property
    def alike(self) -> list[nn.Module]:
        """The modules that have the weight and compute the same with it."""
        found = [self.module]
        for module, parameter in self.tied:
            kind = kind_of(module)
            if kind is not None and kind.shapes(module)[parameter] == self.shape:
                found.append(module)
        return found

    @torch.no_grad()
    def write(self, canonical: Tensor) -> None:
        """Replace a weight that is not compressed, in place, by one of (C_out, C_in, ...)."""
        self.weight.copy_(to_layout(canonical, self.shape))


def kind_of(module: nn.Module) -> Kind | None:
    """Return the kind of a module; None of one whose own weights cannot be compressed."""
    return next((kind for kind in KINDS if isinstance(module, kind.modules)), None)


def layer_name(module: str, parameter: str) -> str:
    """Return the name of a layer, given those of its module and its parameter."""
    parts = (module, "" if parameter == "weight" else parameter)
    return ".".join(part for part in parts if part)


def compressible_layers(model: nn.Module) -> dict[str, Layer]:
    """Return every layer of a model by name, in the model's order, compressed or not.

    A weight that several places share belongs to the first. One that is made by a parametrization
    or a hook of somebody else's is left out: see ``folding``.
    """
    owners: dict[int, str] = {}
    found: dict[str, Layer] = {}
    for path, module in model.named_modules():
        kind = kind_of(module)
        for parameter, shape in () if kind is None else kind.shapes(module).items():
            identity = _identity(module, parameter)
            if identity is None:
                continue
            name = owners.setdefault(identity, layer_name(path, parameter))
            if name in found:
                first = found[name]
                tied = (*first.tied, (module, parameter))
                found[name] = Layer(name, first.module, first.parameter, first.shape, tied)
            else:
                found[name] = Layer(name, module, parameter, shape)
    return found


def compressed_weights(module: nn.Module) -> dict[str, Mlg]:
    """Return what generates a module's own compressed weights, by parameter."""
    if not parametrize.is_parametrized(module):
        return {}
    lists = cast(Mapping[str, Any], module.parametrizations)
    return {name: kept[0] for name, kept in lists.items() if isinstance(kept[0], Mlg)}


def is_compressed(module: nn.Module, parameter: str = "weight") -> bool:
    """Return whether a module's weight is generated by ``Mlg``."""
    return parameter in compressed_weights(module)


def tensors_of(*values: Any) -> Iterator[Tensor]:
    """Go through the tensors among arguments or results, those inside tuples and lists too."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, tuple | list):
            yield from tensors_of(*value)


def _positions(tensor: Tensor, channels_at: int) -> int:
    return tensor.numel() // tensor.shape[channels_at]


def _matrix(module: nn.Module, parameter: str) -> tuple[int, int]:
    """Return the shape of a matrix without generating it."""
    if parameter in (generated := compressed_weights(module)):
        shape = generated[parameter].shape
        return shape.c_out, shape.c_in
    rows, columns = module._parameters[parameter].shape  # type: ignore[union-attr]
    return rows, columns


def _is_own(module: nn.Module, parameter: str) -> bool:
    """Return whether a weight is a parameter or compressed, not made by somebody else's hook."""
    return parameter in compressed_weights(module) or module._parameters.get(parameter) is not None


def _identity(module: nn.Module, parameter: str) -> int | None:
    """Return what two places share where they share a weight; None where it is not ours to take."""
    if parameter in compressed_weights(module):
        return id(cast(Any, module.parametrizations)[parameter])
    own = module._parameters.get(parameter)
    if own is None or is_lazy(own) or not own.is_floating_point():
        return None
    return id(own)
