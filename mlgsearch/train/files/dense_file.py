"""A student as a plain network: for readers that know nothing of factors."""

from pathlib import Path

from safetensors.torch import save
from torch import nn

from mlgsearch.errors import UserError
from mlgsearch.mlg.compress import densify
from mlgsearch.mlg.input_quantiser import write_in_bits
from mlgsearch.train.files.onnx.graph import exported
from mlgsearch.train.files.packed_card import PackedCard
from mlgsearch.train.tensor_file import write_atomically


def write_dense(path: Path, network: nn.Module, card: PackedCard) -> int:
    """Write the state_dict of the plain network as safetensors, and give the file's size in bytes.

    Weights are the generated ones, batch-norm as trained (at 16 bits its statistics are 0 and 1,
    its weight and bias the scale and shift): it loads strictly into the network of the card as
    torchvision (or the study's own code) builds it.

    Raises:
        UserError: the inputs are quantised, which a state_dict cannot hold.
        OSError: it cannot be written.
    """
    if card.in_bits != 32:
        raise UserError(
            f"the student's inputs are quantised at {write_in_bits(card.in_bits)} bits, which a "
            "dense file cannot hold: write --format packed or --format onnx"
        )
    state = densify(network).state_dict()
    tensors = {name: tensor.contiguous().clone() for name, tensor in state.items()}
    return write_atomically(path, save(tensors, {**card.to_metadata(), "format": "pt"}))


def write_dense_onnx(path: Path, network: nn.Module, card: PackedCard) -> int:
    """Write the plain network as ONNX, and return the file's size in bytes.

    It takes ``images`` (batch, C, H, W), float32, normalised, of any batch, and returns ``logits``.

    Raises:
        UserError: torch's exporter is not installed, or cannot express the network.
        OSError: it cannot be written.
    """
    model = exported(densify(network), card)
    for key, value in card.to_metadata().items():
        model.metadata_props.add(key=key, value=value)
    return write_atomically(path, model.SerializeToString())
