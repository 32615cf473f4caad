"""The operations of a student, from the traced graph of its ONNX file (``onnx_graph``).

Each value of the graph lies in a buffer, whole or in part; where it can, an operation writes over
what it reads.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import NodeProto
from torch import Tensor, nn

from mlgsearch.errors import UserError
from mlgsearch.mlg.input_quantiser import InputQuantiser
from mlgsearch.train.files.c.graph import TracedGraph
from mlgsearch.train.files.c.memory import Buffer, place_buffers
from mlgsearch.train.files.c.program import SAME, Layer, Op, Program, Value
from mlgsearch.train.files.c.streams import Streams
from mlgsearch.train.files.onnx.body import attribute, is_mark, module_of
from mlgsearch.train.files.onnx.graph import marked_graph
from mlgsearch.train.files.packed_card import PackedCard

#: The quantisers whose codes ``mlg.c`` decodes.
C_METHODS = ("dorefa", "lsq", "lsq_symmetric")

#: ONNX's operators of one operand, by the function of ``mlg.c``, with their attributes' defaults.
_UNARY: Mapping[str, tuple[str, Mapping[str, float]]] = {
    "Relu": ("RELU", {}),
    "Sigmoid": ("SIGMOID", {}),
    "HardSigmoid": ("HARD_SIGMOID", {"alpha": 0.2, "beta": 0.5}),
    "HardSwish": ("HARD_SWISH", {}),
    "Tanh": ("TANH", {}),
    "LeakyRelu": ("LEAKY_RELU", {"alpha": 0.01}),
    "Elu": ("ELU", {"alpha": 1.0}),
    "Erf": ("ERF", {}),
}
_BINARY = {"Add": "ADD", "Sub": "SUB", "Mul": "MUL", "Div": "DIV", "PRelu": "PRELU"}
_RESHAPES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout")

_POOLS = {
    "MaxPool": "MAX",
    "AveragePool": "MEAN",
    "GlobalMaxPool": "MAX",
    "GlobalAveragePool": "MEAN",
    "ReduceMax": "MAX",
    "ReduceMean": "MEAN",
}


def make_program(network: nn.Module, card: PackedCard, tensors: Mapping[str, Tensor]) -> Program:
    """Return the operations of a compressed network.

    Args:
        network: the student, on the CPU, in eval mode.
        card: what its packed file says of it.
        tensors: its packed file's.

    Raises:
        UserError: torch's exporter is not installed or cannot express the network, or the network
            computes what ``mlg.c`` does not know, or its quantiser is one of those.
    """
    if card.method not in C_METHODS:
        raise UserError(f"no C program decodes {card.method}; it knows {', '.join(C_METHODS)}")
    graph = TracedGraph(marked_graph(network, card).graph)
    return _Builder(network, card, tensors, graph).build()


class _Builder:
    def __init__(
        self,
        network: nn.Module,
        card: PackedCard,
        tensors: Mapping[str, Tensor],
        graph: TracedGraph,
    ) -> None:
        self._card, self._tensors = card, tensors
        self._modules = dict(network.named_modules())
        self._program = Program()
        self._streams, self._graph = Streams(network, card), graph
        self._values: dict[str, Value] = {}

    def build(self) -> Program:
        """Go through the graph, once."""
        graph, shape = self._graph, self._card.input_shape
        image = Value(shape, Buffer(math.prod(shape), uses=graph.uses[graph.image]))
        self._program.image = self._values[graph.image] = image
        done: set[str] = set()
        for node in graph.nodes:
            if node.output[0] in done:
                continue
            last = node
            if chain := graph.gelu_from(node):
                last = chain[-1]
                done.update(each.output[0] for each in chain)
                self._done_with(self._operand(node.input[0], node))  # read once, not twice
            elif self._takes_norm(node) and (norm := graph.norm_after(node)) is not None:
                last = norm
                done.add(norm.output[0])
            self._add(node, last)
        self._program.logits = self._values[graph.logits]
        self._program.constants = self._streams.constants
        self._choose_forms()
        self._place()
        return self._program

    def _takes_norm(self, node: NodeProto) -> bool:
        """Whether a batch-norm behind a node becomes its ending: it is a layer of no bias."""
        if is_mark(node, "Layer"):
            return not self._streams.has(module_of(node), "bias")
        return node.op_type == "Conv" and len(node.input) == 2

    def _add(self, node: NodeProto, last: NodeProto) -> None:
        """Append what a node does, up to the node ``last``, and name what that makes."""
        kind, out = node.op_type, last.output[0]
        if kind == "Split" and not is_mark(node, kind):
            self._split(node)
            return
        names = [name for name in node.input if name]
        if out not in self._graph.shapes or any(
            name not in self._values and name not in self._graph.constants for name in names
        ):
            raise self._unknown(node, "mixes the images of a batch, or is of no fixed shape")
        if kind in _BINARY and last is node:
            self._binary(node)
            return
        x = self._operand(node.input[0], node)
        if node is not last and kind == "Div":
            self._elementwise("UNARY", x, out, of="GELU")
        elif is_mark(node, "Layer"):
            self._layer(node, x, last)
        elif is_mark(node, "Norm"):
            at, end = self._streams.norm(module_of(node))
            self._elementwise(
                "NORM", x, out, of=end, at=x.shape[0], numbers=at, note=module_of(node)
            )
        elif kind in _UNARY:
            of, defaults = _UNARY[kind]
            given = [float(attribute(node, name, value)) for name, value in defaults.items()]
            self._elementwise("UNARY", x, out, of=of, numbers=self._streams.constant(given))
        elif kind == "Clip":
            low, high = (
                float(self._given(node, i).item()) if len(names) > i and node.input[i] else end
                for i, end in ((1, -3.4e38), (2, 3.4e38))
            )
            self._elementwise(
                "UNARY", x, out, of="CLIP", numbers=self._streams.constant([low, high])
            )
        elif kind in _RESHAPES:
            assert x.buffer is not None
            x.buffer.uses += self._graph.uses[out] - 1
            self._values[out] = Value(self._graph.shapes[out], x.buffer, x.at)
            if self._values[out].numel != x.numel:
                raise self._unknown(node, "mixes the images of a batch")
        elif kind in ("Conv", "Gemm"):
            self._plain_layer(node, x, last)
        elif kind in _POOLS:
            self._pool(node, x, out)
        elif kind == "Concat":
            self._concat(node, out)
        elif kind == "Slice":
            self._slice(node, x, out)
        elif kind == "Transpose":
            self._transpose(node, x, out)
        else:
            raise self._unknown(node)

    def _unknown(self, node: NodeProto, why: str = "") -> UserError:
        return UserError(
            f"{self._card.model.name}: {node.op_type} ({node.output[0]}) "
            f"{why or 'is an operation that the C program does not know'}: export another format"
        )

    def _operand(self, name: str, node: NodeProto) -> Value:
        if name not in self._values:
            raise self._unknown(node, "has no image as its first input")
        return self._values[name]

    def _given(self, node: NodeProto, index: int) -> "np.ndarray[Any, Any]":
        if node.input[index] not in self._graph.constants:
            raise self._unknown(node, "depends on the image where only a constant is known")
        return self._graph.constants[node.input[index]]

    def _stored(self, name: str) -> int:
        return self._streams.stored(name, self._graph.constants[name])

    def _done_with(self, value: Value) -> None:
        if value.buffer is not None:
            value.buffer.uses -= 1

    def _new(self, name: str) -> Value:
        shape = self._graph.shapes[name]
        value = Value(shape, Buffer(math.prod(shape), uses=self._graph.uses[name]))
        self._values[name] = value
        return value

    def _op(self, op: Op) -> None:
        now = len(self._program.ops)
        for value in (op.x, op.y, op.b):
            if value is not None and value.buffer is not None:
                value.buffer.last = now
                value.buffer.first = now if value.buffer.first is None else value.buffer.first
        self._program.ops.append(op)

    def _elementwise(
        self, kind: str, x: Value, out: str, *, may_overwrite: bool = True, **what: Any
    ) -> None:
        """Append an operation that writes over its operand where nothing else reads that."""
        self._done_with(x)
        is_free = may_overwrite and self._graph.shapes[out] == x.shape
        if is_free and x.buffer is not None and x.buffer.uses == 0:
            x.buffer.uses = self._graph.uses[out]
            self._values[out] = y = Value(x.shape, x.buffer, x.at)
        else:
            y = self._new(out)
        self._op(Op(kind, x, y, **what))

    def _binary(self, node: NodeProto) -> None:
        out = node.output[0]
        x, b = (
            self._values[name]
            if name in self._values
            else Value(
                self._graph.constants[name].shape,
                None,
                self._streams.stored(name, self._graph.constants[name]),
            )
            for name in node.input
        )
        shape = self._graph.shapes[out]
        if x.shape != shape or x.buffer is None:
            if node.op_type not in ("Add", "Mul") or b.shape != shape or b.buffer is None:
                raise self._unknown(node, "broadcasts its first operand")
            x, b = b, x
        at = SAME
        if b.shape != shape or b.buffer is None:
            # A constant may have an axis for the batch, which is left out.
            wide = (1,) * (len(shape) + 1 - len(b.shape)) + b.shape
            if len(shape) > 4 or len(wide) != len(shape) + 1 or wide[0] != 1:
                raise self._unknown(node, "broadcasts over more than four axes")
            at = self._shape(shape, _steps(wide[1:]))
        self._done_with(b)
        # What is still to be read must not be written over, so overlapping parts need a new place.
        is_apart = b.buffer is not x.buffer or (at == SAME and b.at == x.at)
        self._elementwise(
            "BINARY", x, out, may_overwrite=is_apart, of=_BINARY[node.op_type], at=at, b=b
        )

    def _shape(self, size: tuple[int, ...], step: tuple[int, ...]) -> int:
        filled = (1,) * (4 - len(size)) + size, (0,) * (4 - len(step)) + step
        if filled not in self._program.shapes:
            self._program.shapes.append(filled)
        return self._program.shapes.index(filled)

    def _window(self, x: Value, out: str, node: NodeProto, **window: Any) -> Layer:
        shape = self._graph.shapes[out]
        if len(x.shape) == 3 and len(shape) == 3:
            sides, sides_out = (x.shape[1], x.shape[2]), (shape[1], shape[2])
        elif len(x.shape) == 1 and len(shape) == 1:
            sides = sides_out = (1, 1)
        else:
            raise self._unknown(node, f"of {len(x.shape) + 1} dimensions is not known to it")
        return Layer(
            x.shape[0],
            shape[0],
            sides,
            sides_out,
            **window,
        )

    def _run_layer(self, kind: str, x: Value, out: str, layer: Layer, **what: Any) -> None:
        if layer not in self._program.layers:
            self._program.layers.append(layer)
        self._done_with(x)
        at = self._program.layers.index(layer)
        self._op(Op(kind, x, self._new(out), at=at, **what))

    def _layer(self, mark: NodeProto, x: Value, last: NodeProto) -> None:
        name, out = module_of(mark), last.output[0]
        module = self._modules[name]
        window: dict[str, Any] = {}
        if isinstance(module, nn.Conv2d):
            left, _, top, _ = module._reversed_padding_repeated_twice
            window = {
                "kernel": module.kernel_size,
                "stride": module.stride,
                "pad": (top, left) if module.padding_mode == "zeros" else (0, 0),
                "dilation": module.dilation,
                "groups": module.groups,
            }
        layer = self._window(x, out, mark, setting=self._streams.settings[name], **window)
        layer.codes, layer.numbers = self._streams.begin(name)
        if last is not mark:
            layer.ends, layer.end = self._streams.norm(module_of(last))
        elif self._streams.has(name, "bias"):
            layer.ends, layer.end = self._streams.at[name, "bias"][1], "BIAS"
        x = self._quantised(name, x)
        self._run_layer("LAYER", x, out, layer, note=name)

    def _quantised(self, name: str, x: Value) -> Value:
        """Append the quantiser of a layer's inputs, if it changes anything; return its output."""
        stream, at = self._streams.at.get((name, "input.scale"), ("", 0))
        if not stream or not float(self._tensors[stream][at]) > 0:
            return x
        out = f"{name}.input"
        while out in self._values:
            out += "'"
        self._graph.shapes[out], self._graph.uses[out] = x.shape, 1
        quantiser = self._modules[name].get_submodule("input_quantiser")
        assert isinstance(quantiser, InputQuantiser)
        self._elementwise("QUANTISE", x, out, at=quantiser.bits, numbers=at, note=name)
        return self._values[out]

    def _plain_layer(self, node: NodeProto, x: Value, last: NodeProto) -> None:
        """Append a convolution or linear layer whose weight is stored as it is."""
        out = last.output[0]
        window: dict[str, Any] = {}
        if node.op_type == "Conv":
            kernel = attribute(node, "kernel_shape", self._given(node, 1).shape[2:])
            pads = attribute(node, "pads", (0, 0, 0, 0))
            window = {
                "kernel": tuple(kernel),
                "stride": tuple(attribute(node, "strides", (1, 1))),
                "pad": tuple(pads[:2]),
                "dilation": tuple(attribute(node, "dilations", (1, 1))),
                "groups": attribute(node, "group", 1),
            }
        elif not (
            attribute(node, "transB", 0)
            and not attribute(node, "transA", 0)
            and attribute(node, "alpha", 1.0) == attribute(node, "beta", 1.0) == 1.0
        ):
            raise self._unknown(node, "is no linear layer")
        self._given(node, 1)
        layer = self._window(x, out, node, **window)
        layer.numbers = self._stored(node.input[1])
        if last is not node:
            layer.ends, layer.end = self._streams.norm(module_of(last))
        elif len(node.input) > 2 and node.input[2]:
            self._given(node, 2)
            layer.end, layer.ends = (
                "BIAS",
                self._stored(node.input[2]),
            )
        self._run_layer("LAYER", x, out, layer, note=node.input[1].removesuffix(".weight"))

    def _pool(self, node: NodeProto, x: Value, out: str) -> None:
        kind = node.op_type
        of = _POOLS[kind]
        if kind.startswith("Reduce") or kind.startswith("Global"):
            axes: tuple[int, ...] = (2, 3)
            if len(node.input) > 1:
                axes = tuple(int(a) % (len(x.shape) + 1) for a in self._given(node, 1))
            if len(x.shape) != 3 or sorted(axes) != [2, 3]:
                raise self._unknown(node, "is known over the positions of an image only")
            sides = x.shape[1], x.shape[2]
            layer = Layer(x.shape[0], x.shape[0], sides, (1, 1), kernel=sides)
        else:
            layer = self._window(
                x,
                out,
                node,
                kernel=tuple(attribute(node, "kernel_shape", ())),
                stride=tuple(attribute(node, "strides", (1, 1))),
                pad=tuple(attribute(node, "pads", (0, 0, 0, 0))[:2]),
                dilation=tuple(attribute(node, "dilations", (1, 1))),
            )
            if kind == "AveragePool":
                if attribute(node, "ceil_mode", 0):
                    raise self._unknown(node, "with ceil_mode is not known to it")
                of = "MEAN" if attribute(node, "count_include_pad", 0) else "MEAN_INSIDE"
        self._run_layer("POOL", x, out, layer, of=of)

    def _concat(self, node: NodeProto, out: str) -> None:
        if attribute(node, "axis", 1) % (len(self._graph.shapes[out]) + 1) != 1:
            raise self._unknown(node, "is known over channels only")
        whole = self._new(out)
        at = 0
        for name in node.input:
            x = self._operand(name, node)
            self._done_with(x)
            self._op(Op("COPY", x, Value(x.shape, whole.buffer, at), at=SAME))
            at += x.numel

    def _transpose(self, node: NodeProto, x: Value, out: str) -> None:
        order = tuple(attribute(node, "perm", ()))
        if not order or order[0] != 0 or len(order) > 5:
            raise self._unknown(node, "mixes the images of a batch, or has more than four axes")
        steps = _steps(x.shape, is_broadcast=False)
        self._done_with(x)
        at = self._shape(self._graph.shapes[out], tuple(steps[axis - 1] for axis in order[1:]))
        self._op(Op("COPY", x, self._new(out), at=at))

    def _slice(self, node: NodeProto, x: Value, out: str) -> None:
        """Name a run of channels: they lie where the whole lies."""
        begin, _, axes, steps = (
            [int(value) for value in self._given(node, i)] if len(node.input) > i else [1]
            for i in (1, 2, 3, 4)
        )
        if axes != [1] or steps != [1] or x.buffer is None:
            raise self._unknown(node, "is known over channels only")
        channels = max(begin[0] + x.shape[0], 0) if begin[0] < 0 else begin[0]
        x.buffer.uses += self._graph.uses[out] - 1
        at = x.at + channels * math.prod(x.shape[1:])
        self._values[out] = Value(self._graph.shapes[out], x.buffer, at)

    def _split(self, node: NodeProto) -> None:
        """Name the parts of a value: they lie where the whole lies."""
        x = self._operand(node.input[0], node)
        if attribute(node, "axis", 0) % (len(x.shape) + 1) != 1 or x.buffer is None:
            raise self._unknown(node, "is known over channels only")
        at = x.at
        for out in node.output:
            self._values[out] = Value(self._graph.shapes[out], x.buffer, at)
            at += self._values[out].numel
            x.buffer.uses += self._graph.uses[out]
        self._done_with(x)

    def _choose_forms(self) -> None:
        """Choose for each layer the form of fewest multiplications that needs no more scratch."""
        at = {op.at for op in self._program.ops if op.kind == "LAYER"}
        layers = [self._program.layers[i] for i in sorted(at)]
        room = max((min(map(each.scratch, each.forms())) for each in layers), default=1)
        for layer in layers:
            fitting = [form for form in layer.forms() if layer.scratch(form) <= room]
            layer.form = min(fitting, key=layer.operations)
        self._program.scratch = room

    def _place(self) -> None:
        """Place the activations: the image is there before all operations, logits after all."""
        program = self._program
        values = (each for op in program.ops for each in (op.x, op.b, op.y) if each is not None)
        ends = (program.image.buffer, program.logits.buffer)
        buffers = {id(b): b for b in (*ends, *(value.buffer for value in values)) if b is not None}
        assert program.image.buffer is not None
        assert program.logits.buffer is not None
        program.image.buffer.first = 0
        program.logits.buffer.last = len(program.ops)
        program.arena = place_buffers(buffers.values())


def _steps(shape: tuple[int, ...], *, is_broadcast: bool = True) -> tuple[int, ...]:
    """Return how far apart neighbours along each axis lie; broadcast axes have 0."""
    return tuple(
        0 if is_broadcast and side == 1 else math.prod(shape[axis + 1 :])
        for axis, side in enumerate(shape)
    )
