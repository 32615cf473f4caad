"""A student as a plain network: for readers that know nothing of factors."""

import warnings
from pathlib import Path

import torch
from safetensors.torch import save
from torch import nn

from mlgsearch.errors import UserError
from mlgsearch.mlg.compress import densify
from mlgsearch.train.files.packed_card import PackedCard
from mlgsearch.train.tensor_file import write_atomically


def write_dense(path: Path, network: nn.Module, card: PackedCard) -> int:
    """Write the state_dict of the plain network as safetensors, and give the file's size in bytes.

    Weights are the generated ones, batch-norm as trained (at 16 bits its statistics are 0 and 1,
    its weight and bias the scale and shift): it loads strictly into the network of the card as
    torchvision (or the study's own code) builds it.

    Raises:
        UserError: the inputs are quantised, which no state_dict tells.
        OSError: it cannot be written.
    """
    if card.in_bits != 32:
        raise UserError(
            f"the student's inputs are quantised at {card.in_bits} bits, which a dense file cannot "
            "hold: write --format packed or --format onnx"
        )
    state = densify(network).state_dict()
    tensors = {name: tensor.contiguous().clone() for name, tensor in state.items()}
    content = save(tensors, {**card.to_metadata(), "format": "pt"})
    write_atomically(path, content)
    return len(content)


def write_onnx(path: Path, network: nn.Module, card: PackedCard) -> int:
    """Write the plain network as ONNX, and give the file's size in bytes.

    It takes ``images`` (batch, C, H, W), float32, normalised, of any batch, and gives ``logits``.

    Raises:
        UserError: torch's exporter is not installed, or cannot express the network.
        OSError: it cannot be written.
    """
    plain = densify(network).to(memory_format=torch.contiguous_format).eval()
    example = torch.zeros(2, *card.input_shape)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own, on its own internals
            program = torch.onnx.export(
                plain,
                (example,),
                dynamo=True,
                verbose=False,
                input_names=["images"],
                output_names=["logits"],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
            )
    except ImportError as error:
        raise UserError(
            f"torch's ONNX exporter needs {error.name}: pip install 'mlgsearch[onnx]'"
        ) from error
    except torch.onnx.errors.OnnxExporterError as error:
        first = str(error).strip().splitlines()[0]
        raise UserError(f"{card.model.name} cannot be expressed as ONNX: {first}") from error
    assert program is not None
    program.model.metadata_props.update(card.to_metadata())
    content: bytes = program.model_proto.SerializeToString()
    write_atomically(path, content)
    return len(content)
