"""A traced graph read node by node, and runs of nodes that are one operation."""

import math
from collections import Counter

import numpy as np
from onnx import GraphProto, NodeProto, helper, numpy_helper

from mlgsearch.train.files.onnx.body import is_mark


class TracedGraph:
    """Nodes and constants of a graph.

    ``shapes`` are those of one image, without the batch; ``uses`` says how often a value is read.
    """

    def __init__(self, graph: GraphProto) -> None:
        (self.image,), (self.logits,) = ([v.name for v in e] for e in (graph.input, graph.output))
        self.constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        self.nodes = [node for node in graph.node if node.op_type != "Constant"]
        for node in graph.node:
            if node.op_type == "Constant":
                value = helper.get_attribute_value(node.attribute[0])
                is_tensor = hasattr(value, "data_type")
                array = numpy_helper.to_array(value) if is_tensor else np.array(value)
                self.constants[node.output[0]] = array
        batch = graph.input[0].type.tensor_type.shape.dim[0].dim_param
        self.shapes: dict[str, tuple[int, ...]] = {}
        for info in (*graph.input, *graph.value_info, *graph.output):
            dims = info.type.tensor_type.shape.dim
            sides = tuple(d.dim_value for d in dims[1:])
            if dims and dims[0].dim_param == batch and all(sides):
                self.shapes[info.name] = sides
        self.uses = Counter(name for node in self.nodes for name in node.input)
        self.uses[self.logits] += 1
        self._users = {name: node for node in self.nodes for name in node.input}

    def only_user(self, node: NodeProto) -> NodeProto | None:
        """Return the node that alone reads what a node makes."""
        return self._users.get(node.output[0]) if self.uses[node.output[0]] == 1 else None

    def norm_after(self, node: NodeProto) -> NodeProto | None:
        """Return the batch-norm that alone reads what a node makes."""
        norm = self.only_user(node)
        return norm if norm is not None and is_mark(norm, "Norm") else None

    def gelu_from(self, node: NodeProto) -> list[NodeProto]:
        """Return the nodes of x * (0.5 * (1 + erf(x / sqrt(2)))), where ``node`` begins them."""
        chain = [node]
        for kind in ("Erf", "Add", "Mul", "Mul"):
            after = self.only_user(chain[-1])
            if after is None or after.op_type != kind:
                return []
            chain.append(after)
        scalars = [
            float(self.constants[name].item())
            for each in chain[:4]
            for name in each.input
            if name in self.constants and self.constants[name].size == 1
        ]
        if node.op_type != "Div" or node.input[0] not in chain[-1].input or len(scalars) != 3:
            return []
        return chain if np.allclose(scalars, [math.sqrt(2), 1, 0.5], rtol=1e-6) else []
