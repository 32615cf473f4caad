"""A trained student again, from its last checkpoint; neither data nor teacher are needed."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from mlgsearch.errors import CodeNotAllowedError, DataError
from mlgsearch.mlg.compress import compress
from mlgsearch.mlg.kinds import compressible_layers
from mlgsearch.train.device import memory_format
from mlgsearch.train.files.packed_card import FORMAT, PackedCard
from mlgsearch.train.loop import checkpoint
from mlgsearch.train.networks.models import build_model
from mlgsearch.train.own_code import names_code
from mlgsearch.train.student.student import CHECKPOINT

#: What holds where a checkpoint was written before checkpoints recorded it.
_EARLIER = {"norm_bits": "32", "in_bits": "32"}


@dataclass(frozen=True, eq=False)
class FinishedStudent:
    """A student in eval mode on the CPU, in the memory layout that it was trained in.

    ``fingerprint`` is that of its job, ``epochs_done`` the epochs behind the checkpoint.
    """

    network: nn.Module
    card: PackedCard
    fingerprint: str
    epochs_done: int


def open_student(directory: Path, allowed_code: Collection[str] = ()) -> FinishedStudent:
    """Build the network of the newest good checkpoint in a trial's directory, and load it.

    The checkpoint's word alone imports nothing: a network of one's own is built where
    ``allowed_code`` holds the ``module:callable`` that it names.

    Raises:
        CodeNotAllowedError: it names other code.
        DataError: there is no good checkpoint, or it is of another version or network.
        UserError: the network's own code is not where it was.
    """
    saved = checkpoint.load(directory, CHECKPOINT)
    if saved is None:
        raise DataError(f"there is no good checkpoint in {directory}")
    texts = saved.metadata.get("card")
    if not isinstance(texts, dict):
        raise DataError(f"the checkpoint in {directory} is of an earlier version of mlgsearch")
    card = PackedCard.from_metadata({**_EARLIER, **texts, "format": FORMAT})
    if names_code(card.model.name) and card.model.name not in allowed_code:
        raise CodeNotAllowedError(
            f"the checkpoint in {directory} is of the network {card.model.name!r}, which is code "
            "of its user. Others may have written that, so nothing was imported: where you know "
            f"that code, add --allow-code {card.model.name}"
        )
    network = build_model(
        card.model, classes=card.classes, channels=card.channels, image_size=card.image_size
    )
    layers = list(compressible_layers(network))
    if len(layers) != len(card.settings):
        raise DataError(f"the checkpoint in {directory} is of another network {card.model.name}")
    if card.norm_bits == 8:
        raise DataError(
            f"the checkpoint in {directory} has batch-norm at 8 bits, as files alone do"
        )
    settings = dict(zip(layers, card.settings, strict=True))
    compress(
        network,
        settings,
        method=card.method,
        projects=False,
        norm_bits=card.norm_bits,
        in_bits=card.in_bits,
    )
    network = network.to(memory_format=memory_format(card.input_shape))
    prefix = "network."
    state = {k.removeprefix(prefix): t for k, t in saved.tensors.items() if k.startswith(prefix)}
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        first = str(error).splitlines()[0]
        raise DataError(
            f"the checkpoint in {directory} is of another network {card.model.name}: {first}"
        ) from error
    fingerprint, epochs_done = saved.metadata.get("fingerprint"), saved.metadata.get("epoch")
    if not (isinstance(fingerprint, str) and isinstance(epochs_done, int)):
        raise DataError(f"the checkpoint in {directory} is of another version of mlgsearch")
    return FinishedStudent(network.eval(), card, fingerprint, epochs_done)
