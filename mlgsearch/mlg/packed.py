"""A compressed network as a few flat tensors, and back.

The flat form has no names: where everything lies follows from the network, the settings and the
quantisation method, which ``packed_slots`` works out, on ``meta`` as well. The tensors are

- ``codes``: uint8, every factor's integer codes, each factor from a new byte on (``bits.pack``)
- ``numbers``: float32, all that is not quantised to 16 bits or fewer: each factor's scales, factors
  and weights at 32 bits, a layer's input scale and zero point where its inputs are quantised,
  batch-norm as one scale and one shift a channel, biases
- ``halves``: float16, where there is any: batch-norm's scales and shifts at 16 bits, and what a
  network itself keeps in float16
- ``other.<name>``: what a network keeps in another type, as it is

Modules follow in the order of ``named_modules``; within a layer its factors (the codes' scales),
then its input's numbers, then its bias.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import cast

import torch
from torch import Tensor, nn

from mlgsearch.errors import DataError, SettingError
from mlgsearch.mlg.batch_norm import has_statistics, scale_and_shift, set_scale_and_shift
from mlgsearch.mlg.bits import pack, packed_length, unpack
from mlgsearch.mlg.decoded import DecodedMlg
from mlgsearch.mlg.generation import keep_generated
from mlgsearch.mlg.half_norm import NormBits, can_be_half, norm_bits_of, to_half
from mlgsearch.mlg.input_quantiser import InBits, InputQuantiser, in_bits_of
from mlgsearch.mlg.layer import (
    can_quantise_input,
    is_compressed,
    latents_of,
    mlg_of,
    parametrize_layer,
)
from mlgsearch.mlg.network import compressible_layers, layer_shape, require_same_names
from mlgsearch.mlg.quantise import Method, Quantiser, make_quantiser
from mlgsearch.mlg.setting import LayerSetting

#: Flat tensors that hold what many modules have.
_JOINED = ("codes", "numbers", "halves")

#: What is stored of an input quantiser, by its name there; its running range is not.
_INPUT_STATE = {"scale": "input.scale", "zero_point": "input.zero_point"}

_NORM_STATE = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True)
class Slot:
    """One stored thing: ``item`` of the module called ``module``.

    ``item`` is a factor, a factor's ``<factor>.scales``, ``input.scale`` or ``input.zero_point`` of
    a layer, ``scale`` or ``shift`` of a batch-norm, or the name of a parameter or buffer. ``bits``
    below 32 are codes, or halves by their type.
    """

    module: str
    item: str
    shape: tuple[int, ...]
    bits: int = 32
    dtype: torch.dtype = torch.float32

    @property
    def numel(self) -> int:
        """How many codes or numbers."""
        return prod(self.shape)

    @property
    def stream(self) -> str:
        """The name of the flat tensor that holds it."""
        if self.dtype == torch.float16:
            return "halves"
        if self.bits < 32:
            return "codes"
        if self.dtype == torch.float32:
            return "numbers"
        return f"other.{self.module}.{self.item}"


def packed_slots(
    network: nn.Module,
    settings: Mapping[str, LayerSetting],
    method: Method,
    norm_bits: NormBits = 32,
    in_bits: InBits = 32,
) -> list[Slot]:
    """List what packing stores of a network, compressed or not yet, in order.

    Settings, method and bits are those that it is, or is to be, compressed with.

    Raises:
        SettingError: a layer has no setting, or a setting names no layer or is not canonical.
    """
    layers = compressible_layers(network)
    require_same_names(settings.keys(), layers.keys())
    slots: list[Slot] = []
    for name, module in _own_modules(network):
        skipped: tuple[str, ...] = ()
        if has_statistics(module):
            channels = (module.num_features,)
            is_half = norm_bits == 16 and can_be_half(module)
            kind = (16, torch.float16) if is_half else (32, torch.float32)
            slots += [Slot(name, item, channels, *kind) for item in ("scale", "shift")]
            skipped = _NORM_STATE
        elif name in layers and settings[name] != LayerSetting.plain(32):
            slots += _factor_slots(name, layers[name], settings[name], method)
            if in_bits != 32 and can_quantise_input(module):
                slots += [Slot(name, item, ()) for item in _INPUT_STATE.values()]
            skipped = ("weight",)
        slots += [
            Slot(name, item, tuple(tensor.shape), dtype=tensor.dtype)
            for item, tensor in _own_state(module)
            if item not in skipped
        ]
    return slots


def stream_shapes(slots: list[Slot]) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """Give the shape and type of every flat tensor."""
    codes = sum(packed_length(s.numel, s.bits) for s in slots if s.stream == "codes")
    numbers = sum(s.numel for s in slots if s.stream == "numbers")
    halves = sum(s.numel for s in slots if s.stream == "halves")
    shapes: dict[str, tuple[tuple[int, ...], torch.dtype]] = {
        "numbers": ((numbers,), torch.float32),
        "codes": ((codes,), torch.uint8),
    }
    if halves:
        shapes["halves"] = ((halves,), torch.float16)
    return shapes | {s.stream: (s.shape, s.dtype) for s in slots if s.stream not in _JOINED}


def settings_of(network: nn.Module) -> dict[str, LayerSetting]:
    """Give every layer's canonical setting; one that is not compressed is plain at 32 bits."""
    return {
        name: mlg_of(module).setting if is_compressed(module) else LayerSetting.plain(32)
        for name, module in compressible_layers(network).items()
    }


@torch.no_grad()
def pack_network(network: nn.Module, method: Method) -> dict[str, Tensor]:
    """Give the flat tensors of a network that was compressed with ``method``, on the CPU.

    Pack it in the memory layout that it runs in: a mean over a weight (the scale at 1 bit) is
    rounded in the order of memory.

    Raises:
        DataError: a number is not finite.
    """
    slots = packed_slots(
        network, settings_of(network), method, norm_bits_of(network), in_bits_of(network)
    )
    modules = dict(network.named_modules())
    codes: list[Tensor] = []
    numbers: list[Tensor] = []
    halves: list[Tensor] = []
    tensors: dict[str, Tensor] = {}
    contents: dict[str, Tensor] = {}
    of = ""
    for slot in slots:
        if slot.module != of or not contents:
            of, contents = slot.module, _contents(modules[slot.module])
            for item, content in contents.items():
                if content.is_floating_point() and not torch.isfinite(content).all():
                    raise DataError(f"{of}.{item} holds values that are not finite")
        content = contents[slot.item]
        assert tuple(content.shape) == slot.shape, (slot, content.shape)
        if slot.stream == "codes":
            codes.append(pack(content, slot.bits))
        elif slot.stream == "numbers":
            numbers.append(content.flatten())
        elif slot.stream == "halves":
            halves.append(to_half(content).flatten())
        else:
            tensors[slot.stream] = content.contiguous()
    tensors["codes"] = torch.cat([torch.zeros(0, dtype=torch.uint8), *codes])
    tensors["numbers"] = torch.cat([torch.zeros(0), *numbers])
    if halves:
        tensors["halves"] = torch.cat(halves)
    return tensors


@torch.no_grad()
def unpack_network(
    network: nn.Module,
    settings: Mapping[str, LayerSetting],
    method: Method,
    tensors: Mapping[str, Tensor],
    norm_bits: NormBits = 32,
    in_bits: InBits = 32,
) -> None:
    """Make a plain float32 network on the CPU the packed one, in place; it ends in eval mode.

    Its weights are the values that the packed student multiplied, bit for bit, frozen, generated
    once; so its outputs are the student's where both run on the same CPU with the same number of
    threads, in the same memory layout.

    Raises:
        SettingError: the settings are not those of the network's layers.
        DataError: the tensors are not those that the settings ask for.
    """
    slots = packed_slots(network, settings, method, norm_bits, in_bits)
    expected = stream_shapes(slots)
    found = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items()}
    for name in sorted({*expected, *found}):
        if expected.get(name) != found.get(name):
            raise DataError(f"tensor {name!r} is {found.get(name)}, expected {expected.get(name)}")
    contents: dict[str, dict[str, Tensor]] = {}
    code_at = 0
    at = dict.fromkeys(("numbers", "halves"), 0)
    for slot in slots:
        if slot.stream == "codes":
            length = packed_length(slot.numel, slot.bits)
            part = tensors["codes"][code_at : code_at + length]
            content = unpack(part, slot.bits, slot.numel)
            code_at += length
        elif slot.stream in at:
            begin = at[slot.stream]
            at[slot.stream] = begin + slot.numel
            content = tensors[slot.stream][begin : begin + slot.numel]
        else:
            content = tensors[slot.stream]
        contents.setdefault(slot.module, {})[slot.item] = content.reshape(slot.shape)
    modules = dict(network.named_modules())
    for name, items in contents.items():
        module = modules[name]
        if has_statistics(module):
            set_scale_and_shift(module, items.pop("scale"), items.pop("shift"))
        elif name in settings and settings[name] != LayerSetting.plain(32):
            layer = cast(nn.Conv2d | nn.Linear, module)
            values = _decoded(settings[name], items, method)
            mlg = DecodedMlg(settings[name], layer_shape(layer), values)
            parametrize_layer(layer, mlg, in_bits=in_bits)
            for own_name, item in _INPUT_STATE.items():
                if item in items:
                    layer.get_buffer(f"input_quantiser.{own_name}").copy_(items[item])
        own = dict(_own_state(module))
        for item, content in items.items():
            if item in own:
                own[item].copy_(content)
    network.eval().requires_grad_(False)
    keep_generated(network)


def _factor_slots(
    name: str, layer: nn.Conv2d | nn.Linear, setting: LayerSetting, method: Method
) -> Iterator[Slot]:
    try:
        shapes = setting.factor_shapes(layer_shape(layer))
    except SettingError as error:
        raise SettingError(f"layer {name!r}: {error}") from error
    for factor, bits in _widths(setting).items():
        if factor in shapes:
            yield Slot(name, factor, shapes[factor], bits)
            if bits < 32:
                yield Slot(name, f"{factor}.scales", (make_quantiser(method, bits).scale_count,))


def _widths(setting: LayerSetting) -> dict[str, int]:
    return {
        "basis": setting.q_basis,
        "coeff_in": setting.q_coeff_in,
        "coeff_out": setting.q_coeff_out,
    }


def _contents(module: nn.Module) -> dict[str, Tensor]:
    """Give all that may be stored of a module itself, on the CPU, by the names of its slots."""
    contents = {name: tensor.detach().cpu() for name, tensor in _own_state(module)}
    if has_statistics(module):
        contents["scale"], contents["shift"] = scale_and_shift(module)
    if is_compressed(module):
        mlg = mlg_of(module)
        for factor, latent in zip(mlg.names, latents_of(module), strict=True):
            quantiser = cast(Quantiser, mlg.quantisers[factor])
            if quantiser.bits == 32:
                contents[factor] = latent.detach().cpu()
                continue
            codes, scales = quantiser.encode(latent)
            contents[factor], contents[f"{factor}.scales"] = codes.cpu(), scales.cpu()
        of_input = module._modules.get("input_quantiser")
        if of_input is not None:
            for own_name, item in _INPUT_STATE.items():
                contents[item] = of_input.get_buffer(own_name).cpu()
    return contents


def _decoded(
    setting: LayerSetting, items: Mapping[str, Tensor], method: Method
) -> dict[str, Tensor]:
    """Give a layer's factors as they are multiplied."""
    values: dict[str, Tensor] = {}
    for factor, bits in _widths(setting).items():
        if factor in items:
            scales = items.get(f"{factor}.scales")
            values[factor] = (
                items[factor].clone()
                if scales is None
                else make_quantiser(method, bits).decode(items[factor], scales)
            )
    return values


def _own_modules(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Give all modules but the insides of compressed layers."""
    inside: set[nn.Module] = set()
    for module in network.modules():
        if is_compressed(module):
            inside.update(cast(nn.Module, module.parametrizations).modules())
        if isinstance(module, InputQuantiser):
            inside.add(module)
    return ((name, m) for name, m in network.named_modules() if m not in inside)


def _own_state(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Give a module's own parameters and buffers that belong to its state."""
    for name, tensor in (*module._parameters.items(), *module._buffers.items()):
        if tensor is not None and name not in module._non_persistent_buffers_set:
            yield name, tensor
