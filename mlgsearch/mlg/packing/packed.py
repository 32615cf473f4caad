"""A compressed network as a few flat tensors, and back.

The flat form has no names: where everything lies follows from the network, the settings and the
quantisation method, which ``packed_slot`` works out, on ``meta`` as well. The tensors are

- ``codes``: uint8, every factor's integer codes, each factor from a new byte on (``bits.pack``);
  batch-norm's scales and shifts at 8 bits
- ``numbers``: float32, all that is not quantised to 16 bits or fewer: each factor's scales, factors
  and weights at 32 bits, a layer's input scale and zero point where its inputs are quantised,
  batch-norm as one scale and one shift per channel, biases
- ``halves``: float16, where there is any: batch-norm's scales and shifts at 16 bits, their bounds
  at 8 bits, and what a network itself keeps in float16
- ``other.<name>``: what a network keeps in another type, as it is

Modules follow in the order of ``named_modules``; within a layer its factors (the codes' scales),
then its input's numbers, then its bias.
"""

from collections.abc import Iterable, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from mlgsearch.errors import DataError
from mlgsearch.mlg.batch_norm import has_statistics, scale_and_shift, set_scale_and_shift
from mlgsearch.mlg.byte_norm import CODE_BITS, StoredNormBits, norm_codes, norm_values
from mlgsearch.mlg.factoring.parametrization import DecodedMlg, latents_of, mlg_of
from mlgsearch.mlg.half_norm import can_be_half, norm_bits_of, to_half
from mlgsearch.mlg.input_quantiser import InBits, InputQuantiser, LayerInBits, bits_by_layer
from mlgsearch.mlg.kinds import Layer, compressible_layers, is_compressed
from mlgsearch.mlg.packing.bits import pack, packed_length, unpack
from mlgsearch.mlg.packing.packed_slot import (
    INPUT_STATE,
    Slot,
    factor_item,
    own_state,
    packed_slots,
    require_streams,
)
from mlgsearch.mlg.quantise import Method, Quantiser, make_quantiser
from mlgsearch.mlg.running.generation import keep_generated
from mlgsearch.mlg.running.layer import avoid_fast_path, parametrize_layer
from mlgsearch.mlg.setting import LayerSetting


def settings_of(network: nn.Module) -> dict[str, LayerSetting]:
    """Return every layer's canonical setting; one that is not compressed is plain at 32 bits."""
    return {
        name: mlg_of(layer.module, layer.parameter).setting
        if is_compressed(layer.module, layer.parameter)
        else LayerSetting.plain(32)
        for name, layer in compressible_layers(network).items()
    }


def _in_bits_of(network: nn.Module) -> tuple[InBits, ...]:
    """Return at how many bits each of a network's layers takes its inputs."""
    quantisers = (
        getattr(layer.module, "input_quantiser", None)
        for layer in compressible_layers(network).values()
    )
    return tuple(q.bits if isinstance(q, InputQuantiser) else 32 for q in quantisers)


@torch.no_grad()
def pack_network(
    network: nn.Module, method: Method, norm_bits: StoredNormBits | None = None
) -> dict[str, Tensor]:
    """Return the flat tensors of a network that was compressed with ``method``, on the CPU.

    Batch-norm has the bits that the network was compressed with, or ``norm_bits``.

    Pack it in the memory layout that it runs in: a mean over a weight (the scale at 1 bit) is
    rounded in the order of memory.

    Raises:
        DataError: a number is not finite.
    """
    if norm_bits is None:
        norm_bits = norm_bits_of(network)
    slots = packed_slots(network, settings_of(network), method, norm_bits, _in_bits_of(network))
    modules = dict(network.named_modules())
    own = _layers_by_module(network)
    codes: list[Tensor] = []
    numbers: list[Tensor] = []
    halves: list[Tensor] = []
    tensors: dict[str, Tensor] = {}
    contents: dict[str, Tensor] = {}
    of = ""
    for slot in slots:
        if slot.module != of or not contents:
            of, contents = slot.module, _contents(modules[slot.module], own[slot.module])
            for item, content in contents.items():
                if content.is_floating_point() and not torch.isfinite(content).all():
                    raise DataError(f"{of}.{item} holds values that are not finite")
            if norm_bits == CODE_BITS and can_be_half(modules[of]) and "scale" in contents:
                for item in ("scale", "shift"):
                    contents[item], contents[f"{item}.bounds"] = norm_codes(contents[item])
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
    norm_bits: StoredNormBits = 32,
    in_bits: LayerInBits = 32,
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
    input_bits = bits_by_layer(in_bits, settings)
    require_streams(slots, tensors)
    contents = _by_module(slots, tensors)
    modules = dict(network.named_modules())
    layers = _layers_by_module(network)
    for name, items in contents.items():
        module = modules[name]
        if has_statistics(module):
            scale, shift = (_norm_part(items, item) for item in ("scale", "shift"))
            set_scale_and_shift(module, scale, shift)
        for layer in layers[name]:
            setting = settings[layer.name]
            if setting != LayerSetting.plain(32):
                values = _decoded(layer, setting, items, method)
                decoded = DecodedMlg(setting, layer.shape, values)
                parametrize_layer(layer, decoded, in_bits=input_bits[layer.name])
    # An input quantiser may have come with a weight that is tied to another module's.
    for name, items in contents.items():
        module = modules[name]
        for own_name, item in INPUT_STATE.items():
            if item in items:
                module.get_buffer(f"input_quantiser.{own_name}").copy_(items[item])
        own = dict(own_state(module))
        for item, content in items.items():
            if item in own:
                own[item].copy_(content)
    avoid_fast_path(network)
    network.eval().requires_grad_(False)
    keep_generated(network)


def _by_module(
    slots: Iterable[Slot], tensors: Mapping[str, Tensor]
) -> dict[str, dict[str, Tensor]]:
    """Cut the flat tensors into each module's items."""
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
    return contents


def _norm_part(items: dict[str, Tensor], item: str) -> Tensor:
    """Take a batch-norm's scales or shifts out of what is stored."""
    values, bounds = items.pop(item), items.pop(f"{item}.bounds", None)
    return values if bounds is None else norm_values(values, bounds)


def _layers_by_module(network: nn.Module) -> dict[str, list[Layer]]:
    """Return every module's own layers; none of one that owns none."""
    by_module: dict[nn.Module, list[Layer]] = {}
    for layer in compressible_layers(network).values():
        by_module.setdefault(layer.module, []).append(layer)
    return {name: by_module.get(module, []) for name, module in network.named_modules()}


def _contents(module: nn.Module, layers: list[Layer]) -> dict[str, Tensor]:
    """Return all that may be stored of a module itself, on the CPU, by the names of its slots."""
    contents = {name: tensor.detach().cpu() for name, tensor in own_state(module)}
    if has_statistics(module):
        contents["scale"], contents["shift"] = scale_and_shift(module)
    for layer in layers:
        if not is_compressed(module, layer.parameter):
            continue
        mlg, latents = mlg_of(module, layer.parameter), latents_of(module, layer.parameter)
        for factor, latent in zip(mlg.names, latents, strict=True):
            quantiser = cast(Quantiser, mlg.quantisers[factor])
            item = factor_item(layer, factor)
            if quantiser.bits == 32:
                contents[item] = latent.detach().cpu()
                continue
            codes, scales = quantiser.encode(latent)
            contents[item], contents[f"{item}.scales"] = codes.cpu(), scales.cpu()
    of_input = module._modules.get("input_quantiser")
    if of_input is not None:
        for own_name, item in INPUT_STATE.items():
            contents[item] = of_input.get_buffer(own_name).cpu()
    return contents


def _decoded(
    layer: Layer, setting: LayerSetting, items: Mapping[str, Tensor], method: Method
) -> dict[str, Tensor]:
    """Return a layer's factors as they are multiplied."""
    values: dict[str, Tensor] = {}
    for factor, bits in setting.factor_bits.items():
        item = factor_item(layer, factor)
        if item in items:
            scales = items.get(f"{item}.scales")
            values[factor] = (
                items[item].clone()
                if scales is None
                else make_quantiser(method, bits).decode(items[item], scales)
            )
    return values
