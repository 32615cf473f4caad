"""A list of ONNX nodes that is written one line per operation."""

from collections.abc import Sequence
from string import ascii_lowercase
from typing import Any, cast

import numpy as np
from onnx import AttributeProto, FunctionProto, NodeProto, helper, numpy_helper

from mlgsearch.train.files.onnx.graph import DOMAIN, OPSET

#: What the nodes of a file are of.
OPSETS = (helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, 1))

#: Beyond every end, so that a slice takes all that is left.
ALL = 2**31 - 1


class Passed(str):
    """The attribute of its own that a function passes on to one of its nodes."""

    __slots__ = ()


class Body:
    """Nodes in order; what they make is named ``prefix`` and letters unless it is named."""

    def __init__(self, prefix: str = "_") -> None:
        self.nodes: list[NodeProto] = []
        self._prefix = prefix
        self._count = 0
        self._constants: dict[object, str] = {}

    def name(self) -> str:
        """Return a name that nothing has, of letters: ONNX wants an identifier of C."""
        self._count += 1
        letters, rest = "", self._count
        while rest:
            rest, letter = divmod(rest - 1, len(ascii_lowercase))
            letters = ascii_lowercase[letter] + letters
        return self._prefix + letters

    def op(
        self, kind: str, *inputs: str, out: str = "", domain: str = "", **attributes: Any
    ) -> str:
        """Append a node of one output and return the output's name."""
        return self.ops(kind, *inputs, outs=[out or self.name()], domain=domain, **attributes)[0]

    def ops(
        self, kind: str, *inputs: str, outs: Sequence[str], domain: str = "", **attributes: Any
    ) -> Sequence[str]:
        """Append a node and return the names of its outputs."""
        node = helper.make_node(kind, inputs, outs, domain=domain or None)
        for name, value in attributes.items():
            if isinstance(value, Passed):
                kind_of = AttributeProto.INT if name == "group" else AttributeProto.INTS
                passed = AttributeProto(name=name, ref_attr_name=value, type=kind_of)
                node.attribute.append(passed)
            else:
                node.attribute.append(helper.make_attribute(name, value))
        self.nodes.append(node)
        return outs

    def ints(self, *values: int) -> str:
        """Return a constant 1-d tensor of integers."""
        return self._constant(values, value_ints=list(values))

    def _constant(self, key: object, **attributes: Any) -> str:
        if key not in self._constants:
            self._constants[key] = self.op("Constant", **attributes)
        return self._constants[key]

    def passed_ints(self, name: str) -> str:
        """Return the function's attribute ``name`` as a 1-d tensor of integers."""
        return self.op("Constant", value_ints=Passed(name))

    def number(self, value: float) -> str:
        """Return a constant float32 scalar."""
        return self._constant(value, value_float=value)

    def array(self, value: "np.ndarray[Any, Any]") -> str:
        """Return a constant tensor."""
        return self.op("Constant", value=numpy_helper.from_array(value))

    def function(
        self, name: str, inputs: Sequence[str], outputs: Sequence[str], attributes: Sequence[str]
    ) -> FunctionProto:
        """Return the nodes as a local function."""
        return helper.make_function(
            DOMAIN, name, inputs, outputs, self.nodes, OPSETS, list(attributes)
        )


def is_mark(node: NodeProto, kind: str) -> bool:
    """Whether a node is a mark of ``onnx_graph``: a ``Layer`` or a ``Norm``."""
    return node.domain == DOMAIN and node.op_type == kind


def module_of(mark: NodeProto) -> str:
    """Return the name of a mark's module."""
    return cast(bytes, attribute(mark, "of")).decode()


def attribute(node: NodeProto, name: str, default: Any = None) -> Any:
    """Return the value of a node's attribute."""
    for each in node.attribute:
        if each.name == name:
            return helper.get_attribute_value(each)
    return default
