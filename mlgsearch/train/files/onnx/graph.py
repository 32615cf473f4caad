"""A student's graph as ONNX, in which compressed layers and batch-norms are marks without weights.

torch's own exporter traces the network, so whatever it can express is a graph here. Marks are nodes
of the domain ``mlg``: ``Layer`` and ``Norm`` of ``x`` with the module's name as ``of``.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mlgsearch.errors import UserError
from mlgsearch.mlg.batch_norm import has_statistics
from mlgsearch.mlg.compress import densify
from mlgsearch.mlg.kinds import compressible_layers, is_compressed
from mlgsearch.mlg.running.layer import can_quantise_input
from mlgsearch.train.files.packed_card import PackedCard

if TYPE_CHECKING:
    from onnx import ModelProto

#: The domain of marks and local functions, and the version of ONNX's operators.
DOMAIN = "mlg"
OPSET = 18


def marked_graph(network: nn.Module, card: PackedCard) -> "ModelProto":
    """Trace a compressed network; it takes ``images`` of any batch and returns ``logits``.

    Other layers than those of ``is_marked`` are no marks: their weights are initialisers of their
    names.

    Raises:
        UserError: torch's exporter is not installed, or cannot express the network.
    """
    plain = densify(network)
    owners = compressible_layers(network)  # not the places that only share a weight
    for name, module in network.named_modules():
        mark: nn.Module
        if is_marked(module) and name in owners:
            if isinstance(module, nn.Conv2d):
                mark = _MarkedConv2d(name, module)
            else:
                mark = _MarkedLinear(name, cast(nn.Linear, module))
        elif has_statistics(module):
            mark = _MarkedNorm(name)
        else:
            continue
        plain.set_submodule(name, mark)
    return exported(plain, card)


def is_marked(module: nn.Module) -> bool:
    """Return whether a module is computed from its factors: torch's own Conv2d or Linear."""
    is_ours = is_compressed(module) and can_quantise_input(module)
    return is_ours and isinstance(module, nn.Conv2d | nn.Linear)


def exported(plain: nn.Module, card: PackedCard) -> "ModelProto":
    """Trace a plain network, which takes ``images`` of any batch and returns ``logits``.

    Raises:
        UserError: torch's exporter is not installed, or cannot express the network.
    """
    plain = plain.to(memory_format=torch.contiguous_format).eval()
    try:
        with onnx_needed(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own, on its own internals
            program = torch.onnx.export(
                plain,
                (torch.zeros(2, *card.input_shape),),
                dynamo=True,
                verbose=False,
                opset_version=OPSET,
                input_names=["images"],
                output_names=["logits"],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
            )
    except torch.onnx.errors.OnnxExporterError as error:
        first = str(error).strip().splitlines()[0]
        raise UserError(f"{card.model.name} cannot be expressed as ONNX: {first}") from error
    assert program is not None
    return program.model_proto


@contextmanager
def onnx_needed() -> Iterator[None]:
    """Raise an error that says what to install where an import inside fails.

    Raises:
        UserError: one is.
    """
    try:
        yield
    except ImportError as error:
        raise UserError(f"ONNX files need {error.name}: pip install 'mlgsearch[onnx]'") from error


def _mark(kind: str, of: str, x: Tensor, shape: list[int]) -> Tensor:
    attributes: dict[str, Any] = {"of": of, "rank": x.dim()}
    made: Tensor = torch.onnx.ops.symbolic(
        f"{DOMAIN}::{kind}", (x,), attributes, dtype=x.dtype, shape=shape, version=1
    )
    return made


class _MarkedNorm(nn.Module):
    def __init__(self, of: str) -> None:
        super().__init__()
        self.of = of

    def forward(self, x: Tensor) -> Tensor:
        return _mark("Norm", self.of, x, list(x.shape))


class _MarkedLinear(nn.Module):
    def __init__(self, of: str, layer: nn.Linear) -> None:
        super().__init__()
        self.of, self.out_features = of, layer.out_features

    def forward(self, x: Tensor) -> Tensor:
        return _mark("Layer", self.of, x, [*x.shape[:-1], self.out_features])


class _MarkedConv2d(nn.Module):
    """Pads as the layer does where that is not with zeros: then the mark pads no more."""

    def __init__(self, of: str, layer: nn.Conv2d) -> None:
        super().__init__()
        self.of = of
        self.out_channels, self.mode = layer.out_channels, layer.padding_mode
        self.left_to_bottom = layer._reversed_padding_repeated_twice
        self.kernel, self.stride, self.dilation = layer.kernel_size, layer.stride, layer.dilation

    def forward(self, x: Tensor) -> Tensor:
        left, right, top, bottom = self.left_to_bottom
        if self.mode != "zeros":
            x = F.pad(x, self.left_to_bottom, mode=self.mode)
            left = right = top = bottom = 0
        sides = [
            (x.shape[2 + at] + padding - self.dilation[at] * (self.kernel[at] - 1) - 1)
            // self.stride[at]
            + 1
            for at, padding in enumerate((top + bottom, left + right))
        ]
        return _mark("Layer", self.of, x, [x.shape[0], self.out_channels, *sides])
