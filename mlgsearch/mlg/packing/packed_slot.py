"""What of a network is stored, thing by thing, in the order in which it lies."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import cast

import torch
from torch import Tensor, nn

from mlgsearch.errors import DataError, SettingError
from mlgsearch.mlg.batch_norm import has_statistics
from mlgsearch.mlg.byte_norm import CODE_BITS, StoredNormBits
from mlgsearch.mlg.half_norm import can_be_half, is_half_affine
from mlgsearch.mlg.input_quantiser import InBits, InputQuantiser, LayerInBits, bits_by_layer
from mlgsearch.mlg.kinds import Layer, compressed_weights, compressible_layers, is_compressed
from mlgsearch.mlg.network import require_same_names
from mlgsearch.mlg.packing.bits import packed_length
from mlgsearch.mlg.quantise import Method, make_quantiser
from mlgsearch.mlg.running.layer import can_quantise_input
from mlgsearch.mlg.setting import LayerSetting

#: Flat tensors that hold what many modules have.
_JOINED = ("codes", "numbers", "halves")

#: What is stored of an input quantiser, by its name there; its running range is not.
INPUT_STATE = {"scale": "input.scale", "zero_point": "input.zero_point"}

_NORM_STATE = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True)
class Slot:
    """One stored thing: ``item`` of the module called ``module``.

    ``item`` is a factor, a factor's ``<factor>.scales``, ``input.scale`` or ``input.zero_point`` of
    a layer, ``scale`` or ``shift`` of a batch-norm (at 8 bits each with its ``scale.bounds`` or
    ``shift.bounds``), or the name of a parameter or buffer. Of a
    weight that is not called ``weight`` the parameter comes first: ``in_proj_weight.basis``.
    ``bits`` below 32 are codes, or halves by their type.
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
    norm_bits: StoredNormBits = 32,
    in_bits: LayerInBits = 32,
) -> list[Slot]:
    """List what packing stores of a network, compressed or not yet, in order.

    Settings, method and bits are those that it is, or is to be, compressed with.

    Raises:
        SettingError: a layer has no setting, or a setting names no layer or is not canonical.
    """
    layers = compressible_layers(network)
    require_same_names(settings.keys(), layers.keys())
    own: dict[nn.Module, list[Layer]] = {}
    quantised: dict[nn.Module, InBits] = {}  # the bits of its inputs, as far as it can have any
    input_bits = bits_by_layer(in_bits, layers)
    seen: set[int] = set()
    for name, layer in layers.items():
        if settings[name] != LayerSetting.plain(32):
            own.setdefault(layer.module, []).append(layer)
            quantised |= dict.fromkeys(layer.alike, input_bits[name])
            if not is_compressed(layer.module, layer.parameter):
                seen.add(id(layer.weight))  # neither here nor where it is tied
    slots: list[Slot] = []
    for name, module in _own_modules(network):
        bits = norm_bits if can_be_half(module) else 32
        skipped: tuple[str, ...] = ()
        if has_statistics(module):
            slots += _norm_slots(name, module.num_features, bits)
            skipped = _NORM_STATE
        for layer in own.get(module, ()):
            slots += _factor_slots(name, layer, settings[layer.name], method)
        if quantised.get(module, 32) != 32 and can_quantise_input(module):
            slots += [Slot(name, item, ()) for item in INPUT_STATE.values()]
        for item, tensor in own_state(module):
            if item not in skipped and id(tensor) not in seen:
                seen.add(id(tensor))
                is_half = norm_bits < 32 and is_half_affine(module)
                slots.append(
                    Slot(name, item, tuple(tensor.shape), 16, torch.float16)
                    if is_half
                    else Slot(name, item, tuple(tensor.shape), dtype=tensor.dtype)
                )
    return slots


def stream_shapes(slots: list[Slot]) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """Return the shape and type of every flat tensor."""
    codes = sum(packed_length(s.numel, s.bits) for s in slots if s.stream == "codes")
    numbers = sum(s.numel for s in slots if s.stream == "numbers")
    halves = [s.numel for s in slots if s.stream == "halves"]
    shapes: dict[str, tuple[tuple[int, ...], torch.dtype]] = {
        "numbers": ((numbers,), torch.float32),
        "codes": ((codes,), torch.uint8),
    }
    if halves:
        shapes["halves"] = ((sum(halves),), torch.float16)
    return shapes | {s.stream: (s.shape, s.dtype) for s in slots if s.stream not in _JOINED}


def require_streams(
    slots: list[Slot], tensors: Mapping[str, Tensor], wanted: str = "expected"
) -> None:
    """Check that tensors are the flat ones of slots, by shape and type.

    Raises:
        DataError: they are not; ``wanted`` is what the message says before what one should be.
    """
    expected = stream_shapes(slots)
    found = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items()}
    for name in sorted({*expected, *found}):
        if expected.get(name) != found.get(name):
            raise DataError(f"tensor {name!r} is {found.get(name)}, {wanted} {expected.get(name)}")


def _own_modules(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Return all modules but the insides of compressed layers."""
    inside: set[nn.Module] = set()
    for module in network.modules():
        if compressed_weights(module):
            inside.update(cast(nn.Module, module.parametrizations).modules())
        if isinstance(module, InputQuantiser):
            inside.add(module)
    return ((name, m) for name, m in network.named_modules() if m not in inside)


def own_state(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Return a module's own parameters and buffers that belong to its state."""
    for name, tensor in (*module._parameters.items(), *module._buffers.items()):
        if tensor is not None and name not in module._non_persistent_buffers_set:
            yield name, tensor


def factor_item(layer: Layer, factor: str) -> str:
    """Return the name of a factor's slot: with its parameter where that is not ``weight``."""
    return factor if layer.parameter == "weight" else f"{layer.parameter}.{factor}"


def _norm_slots(name: str, channels: int, bits: StoredNormBits) -> Iterator[Slot]:
    for item in ("scale", "shift"):
        if bits == CODE_BITS:
            yield Slot(name, item, (channels,), CODE_BITS)
            yield Slot(name, f"{item}.bounds", (2,), 16, torch.float16)
        else:
            yield Slot(
                name, item, (channels,), bits, torch.float16 if bits == 16 else torch.float32
            )


def _factor_slots(name: str, layer: Layer, setting: LayerSetting, method: Method) -> Iterator[Slot]:
    try:
        shapes = setting.factor_shapes(layer.shape)
    except SettingError as error:
        raise SettingError(f"layer {layer.name!r}: {error}") from error
    for factor, bits in setting.factor_bits.items():
        if factor in shapes:
            item = factor_item(layer, factor)
            yield Slot(name, item, shapes[factor], bits)
            if bits < 32:
                yield Slot(name, f"{item}.scales", (make_quantiser(method, bits).scale_count,))
