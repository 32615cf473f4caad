"""The nodes of a compressed ONNX file: those that decode, then the traced network's."""

import math
from collections import Counter
from collections.abc import Mapping
from itertools import groupby
from typing import cast

import onnx
from onnx import (
    AttributeProto,
    FunctionProto,
    GraphProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    helper,
    numpy_helper,
)
from torch import Tensor, nn

from mlgsearch.mlg.batch_norm import has_statistics
from mlgsearch.mlg.input_quantiser import InputQuantiser
from mlgsearch.mlg.kinds import Layer, compressed_weights, compressible_layers
from mlgsearch.mlg.network import network_shape
from mlgsearch.mlg.packing.bits import packed_length
from mlgsearch.mlg.packing.packed import settings_of
from mlgsearch.mlg.packing.packed_slot import Slot, factor_item, packed_slots
from mlgsearch.mlg.quantise import make_quantiser
from mlgsearch.mlg.setting import LayerShape
from mlgsearch.train.files.onnx import functions
from mlgsearch.train.files.onnx.body import OPSETS, Body, attribute, is_mark, module_of
from mlgsearch.train.files.onnx.form import OnnxForm, form_macs, onnx_form
from mlgsearch.train.files.onnx.functions import Coding, Ending, coding
from mlgsearch.train.files.onnx.graph import DOMAIN, is_marked
from mlgsearch.train.files.packed_card import PackedCard


class Builder:
    """Writes the nodes of one file: first those that decode, in the order of the packed file."""

    def __init__(
        self,
        network: nn.Module,
        card: PackedCard,
        tensors: Mapping[str, Tensor],
        form: OnnxForm | None,
    ) -> None:
        self.functions: dict[str, FunctionProto] = {}
        self._modules = dict(network.named_modules())
        self._card, self._tensors, self._form = card, tensors, form
        self._shapes = network_shape(network, card.input_shape).layers
        self._settings = settings_of(network)
        self._layers: dict[str, list[Layer]] = {}
        paths = {module: name for name, module in self._modules.items()}
        for layer in compressible_layers(network).values():
            self._layers.setdefault(paths[layer.module], []).append(layer)
        self._slots = packed_slots(
            network, self._settings, card.method, card.norm_bits, card.in_bits
        )
        self._body = Body("")
        #: The pieces of each stream in order: the name and the length of each.
        self._pieces: dict[str, list[tuple[str, int]]] = {
            stream: [] for stream in ("codes", "numbers", "halves")
        }
        #: What decoding named, by module and item; a layer's factors, weight and input's numbers,
        #: and the ``norm`` of a batch-norm, are items as well.
        self._values: dict[tuple[str, str], str] = {}

    def decode(self) -> None:
        """Append the nodes that split the streams and decode everything, in order."""
        for name, of_module in groupby(self._slots, key=lambda slot: slot.module):
            slots = {slot.item: slot for slot in of_module}
            module = self._modules[name]
            if has_statistics(module):
                scale = slots.pop("scale")
                assert slots.pop("shift").shape == scale.shape
                self._values[name, "norm"] = self._raw(scale.stream, (2, *scale.shape))
            for layer in self._layers.get(name, ()):
                generated = compressed_weights(module).get(layer.parameter)
                if generated is not None:
                    items = [factor_item(layer, factor) for factor in generated.names]
                    self._decode_layer(name, layer, [slots.pop(item) for item in items])
            slots = {item: slot for item, slot in slots.items() if not item.endswith(".scales")}
            if slots.pop("input.scale", None) is not None:
                del slots["input.zero_point"]
                self._values[name, "input"] = self._raw("numbers", (2,))
            for item, slot in slots.items():
                if slot.stream in self._pieces:
                    self._values[name, item] = self._raw(slot.stream, slot.shape)
        self._body.nodes[:0] = self._splits()

    def graph(self, traced: GraphProto) -> GraphProto:
        """Return the whole graph, with short names."""
        names = {given.name: given.name for given in traced.input}
        kept = [initial for initial in traced.initializer if not self._is_stored(initial, names)]
        for initial in kept:
            names[initial.name] = self._body.name()
        uses = Counter(name for node in traced.node for name in node.input)
        norms = {
            node.input[0]: node
            for node in traced.node
            if is_mark(node, "Norm") and uses[node.input[0]] == 1
        }
        done: set[str] = set()
        for node in traced.node:
            if node.output[0] in done:
                continue
            if is_mark(node, "Layer"):
                norm = norms.get(node.output[0])
                layer = self._modules[module_of(node)]
                if norm is not None and not (isinstance(layer, nn.Conv2d) and layer.bias is None):
                    norm = None
                end = node if norm is None else norm
                done.add(end.output[0])
                names[end.output[0]] = self._layer(node, norm, names[node.input[0]])
            elif is_mark(node, "Norm"):
                values = (names[node.input[0]], self._values[module_of(node), "norm"])
                names[node.output[0]] = self._call(functions.norm(), *values)[0]
            else:
                self._copy(node, names)
        (logits,) = traced.output
        for node in self._body.nodes:
            node.output[:] = [
                logits.name if made == names[logits.name] else made for made in node.output
            ]
            node.input[:] = [
                logits.name if given == names[logits.name] else given for given in node.input
            ]
        streams = [
            numpy_helper.from_array(tensor.numpy(), name) for name, tensor in self._tensors.items()
        ]
        for initial in kept:
            initial.name = names[initial.name]
        return helper.make_graph(
            self._body.nodes,
            self._card.model.name,
            [_bare_info(given) for given in traced.input],
            [_bare_info(logits)],
            [*streams, *map(_bare_tensor, kept)],
        )

    def _is_stored(self, initial: TensorProto, names: dict[str, str]) -> bool:
        """Whether an initialiser is in the streams; then its name is what was decoded."""
        module, _, item = initial.name.rpartition(".")
        value = self._values.get((module, item))
        if value is None:
            return False
        names[initial.name] = value
        return True

    def _decode_layer(self, name: str, layer: Layer, factors: list[Slot]) -> None:
        setting, shape = self._settings[layer.name], self._shapes[layer.name]
        at = dict(
            zip(compressed_weights(layer.module)[layer.parameter].names, factors, strict=True)
        )
        codings: dict[str, Coding] = {factor: coding(slot.bits) for factor, slot in at.items()}
        form = self._layer_form(layer.name)
        if len(factors) == 1 or form == "depthwise" or (form == "level2" and not setting.base_in):
            for factor, slot in at.items():
                self._values[name, factor_item(layer, factor)] = self._factor(slot)
            weight = self._values[name, factor_item(layer, "basis")]
            self._values[name, layer.parameter] = self._laid_out(weight, shape)
            return
        if form == "level2":
            del codings["coeff_out"]
        levels = "".join(stored[0] for stored in codings.values())
        kind = functions.weight(f"W{'i' * bool(setting.base_in)}{levels}", codings)
        for stored in set(codings.values()):
            self._define(stored)
        attributes = {functions.LETTERS[factor]: _spec(at[factor]) for factor in codings}
        pieces = [piece for factor in codings for piece in self._stored(at[factor])]
        rows = (setting.base_out if form == "level2" else shape.c_out, *shape.canonical_shape[1:])
        (weight,) = self._call(kind, *pieces, s=rows, **attributes)
        self._values[name, layer.parameter] = self._laid_out(weight, shape)
        if form == "level2":
            self._values[name, "coeff_out"] = self._factor(factors[-1])

    def _laid_out(self, weight: str, shape: LayerShape) -> str:
        """Append what brings a weight of (C_out, C_in, ...) to the layout of its module."""
        if not shape.is_transposed:
            return weight
        parts = (shape.groups, shape.c_out // shape.groups, shape.c_in, *shape.kernel)
        value = self._body.op("Reshape", weight, self._body.ints(*parts))
        swapped = self._body.op("Transpose", value, perm=[0, 2, 1, *range(3, len(parts))])
        return self._body.op("Reshape", swapped, self._body.ints(*shape.weight_shape))

    def _factor(self, slot: Slot) -> str:
        made = self._define(coding(slot.bits))
        return self._call(made, *self._stored(slot), a=_spec(slot))[0]

    def _raw(self, stream: str, shape: tuple[int, ...]) -> str:
        (value,) = self._call(
            functions.raw(), self._take(stream, math.prod(shape)), a=shape or (1,)
        )
        return value if shape else self._body.op("Squeeze", value)

    def _stored(self, slot: Slot) -> list[str]:
        """Take a factor from the streams: its codes and its scales, or its numbers."""
        if coding(slot.bits) == "Raw":
            return [self._take("numbers", slot.numel)]
        scales = make_quantiser(self._card.method, slot.bits).scale_count
        codes = self._take("codes", packed_length(slot.numel, slot.bits))
        return [codes, self._take("numbers", scales)]

    def _take(self, stream: str, count: int) -> str:
        """Name the next piece of a stream."""
        name = self._body.name()
        self._pieces[stream].append((name, count))
        return name

    def _splits(self) -> list[NodeProto]:
        """Return the nodes that split the streams into their pieces, each at once.

        With a node for each piece onnxruntime would copy the rest of the stream, or all of it, as
        often.
        """
        body = Body("_")
        for stream, pieces in self._pieces.items():
            if pieces:
                names, counts = zip(*pieces, strict=True)
                body.ops("Split", stream, body.ints(*counts), outs=names)
        return body.nodes

    def _define(self, stored: Coding) -> FunctionProto:
        made = (
            functions.raw()
            if stored == "Raw"
            else functions.codes(self._card.method, is_sign=stored == "Signs")
        )
        return self.functions.setdefault(made.name, made)

    def _call(self, function: FunctionProto, *inputs: str, **attributes: object) -> list[str]:
        """Append a call of a local function and return the names of its outputs."""
        self.functions.setdefault(function.name, function)
        outs = [self._body.name() for _ in function.output]
        self._body.ops(function.name, *inputs, outs=outs, domain=DOMAIN, **attributes)
        return outs

    def _copy(self, node: NodeProto, names: dict[str, str]) -> None:
        """Append a node of the traced graph, without what only its writer needs."""
        for made in node.output:
            names[made] = self._body.name() if made else ""
        inputs = [names[given] if given else "" for given in node.input]
        outs = [names[made] for made in node.output]
        copied = helper.make_node(node.op_type, inputs, outs, domain=node.domain or None)
        defaults = onnx.defs.get_schema(node.op_type, OPSETS[0].version, node.domain).attributes
        copied.attribute.extend(
            attribute
            for attribute in node.attribute
            if attribute.name not in defaults
            or not _is_default(attribute, defaults[attribute.name].default_value)
        )
        self._body.nodes.append(copied)

    def _layer_form(self, name: str) -> OnnxForm:
        if name not in self._modules or not is_marked(self._modules[name]):
            return "dense"  # no mark, so the traced graph takes the weight
        setting, shape = self._settings[name], self._shapes[name]
        if self._form is None:
            return onnx_form(setting, shape)
        return self._form if self._form in form_macs(setting, shape) else "dense"

    def _layer(self, mark: NodeProto, norm: NodeProto | None, x: str) -> str:
        """Append a compressed layer with the batch-norm behind it; return what it makes."""
        name = module_of(mark)
        layer = self._modules[name]
        if (name, "input") in self._values and self._quantises(layer):
            bits = cast(InputQuantiser, layer.get_submodule("input_quantiser")).bits
            (x,) = self._call(functions.quantise(bits), x, self._values[name, "input"])
        if isinstance(layer, nn.Linear):
            return self._linear(name, x, rank=attribute(mark, "rank"))
        assert isinstance(layer, nn.Conv2d)
        ending: Ending = "Norm" if norm is not None else "Bias" if layer.bias is not None else ""
        end = [self._values[module_of(norm), "norm"]] if norm is not None else []
        end += [self._values[name, "bias"]] if ending == "Bias" else []
        form = self._layer_form(name)
        inputs = {
            "dense": ("weight",),
            "level2": ("weight", "coeff_out"),
            "depthwise": ("basis", "coeff_in", "coeff_out"),
        }[form]
        given = [x, *(self._values[name, item] for item in inputs), *end]
        setting, shape = self._settings[name], self._shapes[name]
        left, right, top, bottom = layer._reversed_padding_repeated_twice
        pads = (top, left, bottom, right) if layer.padding_mode == "zeros" else (0, 0, 0, 0)
        # A node whose function was not passed an attribute has that attribute's default.
        spatial = {
            name: value
            for name, value, default in (
                ("strides", layer.stride, (1, 1)),
                ("pads", pads, (0, 0, 0, 0)),
                ("dilations", layer.dilation, (1, 1)),
            )
            if tuple(value) != default
        }
        if form == "dense":
            kind = functions.dense(f"Conv{ending}", ending)
            groups = {} if layer.groups == 1 else {"group": layer.groups}
            return self._call(kind, *given, **spatial, **groups)[0]
        if form == "level2":
            rows = (setting.base_out, *shape.weight_shape[1:])
            kind = functions.level2(f"Level2{ending}", ending)
            return self._call(kind, *given, **spatial, s=rows)[0]
        channels = setting.base_out * setting.base_in
        kind = functions.depthwise(f"Depthwise{ending}", ending)
        return self._call(
            kind,
            *given,
            **spatial,
            f=(channels, shape.c_in, 1, 1),
            s=(channels, 1, *shape.kernel),
            t=(1, 1, setting.base_in),
            group=channels,
        )[0]

    def _linear(self, name: str, x: str, rank: int) -> str:
        weights = [self._values[name, "weight"]]
        if self._layer_form(name) == "level2":
            weights.append(self._values[name, "coeff_out"])
        bias = [self._values[name, "bias"]] if (name, "bias") in self._values else []
        for weight in weights:
            ends = bias if weight == weights[-1] else []
            if rank == 2:
                x = self._body.op("Gemm", x, weight, *ends, transB=1)
                continue
            x = self._body.op("MatMul", x, self._body.op("Transpose", weight, perm=[1, 0]))
            if ends:
                x = self._body.op("Add", x, *ends)
        return x

    @staticmethod
    def _quantises(layer: nn.Module) -> bool:
        """Whether an input quantiser has seen anything but zeros; else it changes nothing."""
        quantiser = layer.get_submodule("input_quantiser")
        assert isinstance(quantiser, InputQuantiser)
        return bool(quantiser.scale > 0)


def _spec(slot: Slot) -> tuple[int, ...]:
    """Return what a factor's function takes as ``a``."""
    return slot.shape if slot.bits == 32 else (slot.bits, *slot.shape)


def _is_default(attribute: AttributeProto, default: AttributeProto) -> bool:
    return default.type == attribute.type and helper.get_attribute_value(
        attribute
    ) == helper.get_attribute_value(default)


def _bare_info(value: ValueInfoProto) -> ValueInfoProto:
    """Return an input or output without what only its writer needs."""
    return ValueInfoProto(name=value.name, type=value.type)


def _bare_tensor(tensor: TensorProto) -> TensorProto:
    return numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name)
