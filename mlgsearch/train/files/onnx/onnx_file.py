"""A student as an ONNX file of its true size: its codes, and a graph that makes weights of them."""

from collections.abc import Mapping
from pathlib import Path

from onnx import ModelProto, helper
from torch import Tensor, nn

from mlgsearch.mlg.packing.packed import pack_network
from mlgsearch.train.files.onnx.body import OPSETS
from mlgsearch.train.files.onnx.builder import Builder
from mlgsearch.train.files.onnx.form import OnnxForm
from mlgsearch.train.files.onnx.graph import marked_graph
from mlgsearch.train.files.packed_card import PackedCard
from mlgsearch.train.tensor_file import write_atomically

#: IR version 8 is what opset 18 came with.
_IR_VERSION = 8


def write_onnx(path: Path, network: nn.Module, card: PackedCard) -> int:
    """Write a student's compressed ONNX file atomically, and return its size in bytes.

    It takes ``images`` (batch, C, H, W), float32, normalised, of any batch, and returns ``logits``.

    Raises:
        DataError: the network holds a number that is not finite.
        UserError: torch's exporter is not installed, or cannot express the network.
        OSError: it cannot be written.
    """
    model = compressed_onnx(network, card, pack_network(network, card.method))
    return write_atomically(path, model.SerializeToString())


def compressed_onnx(
    network: nn.Module,
    card: PackedCard,
    tensors: Mapping[str, Tensor],
    form: OnnxForm | None = None,
    traced: ModelProto | None = None,
) -> ModelProto:
    """Return a student as ONNX whose initialisers are the tensors of its packed file.

    Args:
        network: the student, on the CPU, in eval mode.
        card: what its packed file says of it; it becomes the file's metadata.
        tensors: its packed file's, as ``pack_network`` makes them.
        form: of every layer that has it; without it ``onnx_form`` chooses per layer.
        traced: what ``marked_graph`` made of a student with the same layers compressed; it is
            changed. Without it the network is traced.

    Raises:
        UserError: torch's exporter is not installed, or cannot express the network.
    """
    builder = Builder(network, card, tensors, form)
    traced = traced or marked_graph(network, card)
    builder.decode()
    graph = builder.graph(traced.graph)
    model = helper.make_model(
        graph,
        opset_imports=OPSETS,
        functions=list(builder.functions.values()),
        ir_version=_IR_VERSION,
        producer_name="mlgsearch",
    )
    helper.set_model_props(model, card.to_metadata())
    return model
