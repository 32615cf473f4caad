"""Checkpoints that survive a kill at any moment: the last two of a name, each checked on load."""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mlgsearch.train.tensor_file import DamagedFileError, read_tensors, write_tensors

_log = logging.getLogger(__name__)

#: How many are kept: the newest, and the one to fall back on.
_KEPT = 2


@dataclass(frozen=True)
class Checkpoint:
    """What was saved; ``sequence`` counts the saves of one name, from 1."""

    sequence: int
    tensors: dict[str, Tensor]
    metadata: dict[str, object]


def save(
    directory: Path, name: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, object]
) -> Path:
    """Write the next checkpoint of ``name``, then delete all but the last two.

    Tensors and JSON metadata come back exactly, floats included.
    """
    earlier = _sequences(directory, name)
    path = _path(directory, name, earlier[0] + 1 if earlier else 1)
    write_tensors(path, tensors, metadata)
    for sequence in earlier[_KEPT - 1 :]:
        _path(directory, name, sequence).unlink(missing_ok=True)
    return path


def load(
    directory: Path, name: str, understood: Callable[[Checkpoint], object] | None = None
) -> Checkpoint | None:
    """Return the newest good checkpoint of ``name``, or None.

    A truncated, altered or foreign one is passed over with a warning in the log, and so is a whole
    one of another version, whose metadata ``understood`` cannot read.
    """
    for sequence in _sequences(directory, name):
        path = _path(directory, name, sequence)
        try:
            tensors, metadata = read_tensors(path)
        except (DamagedFileError, FileNotFoundError) as error:
            _log.warning("checkpoint passed over: %s", error)
            continue
        saved = Checkpoint(sequence, tensors, metadata)
        try:
            if understood is not None:
                understood(saved)
        except (KeyError, TypeError, ValueError, AttributeError, AssertionError) as error:
            _log.warning("checkpoint of another version passed over: %s: %r", path, error)
            continue
        return saved
    return None


def capture(
    network: nn.Module, optimiser: Optimizer, epoch: int
) -> tuple[dict[str, Tensor], dict[str, object]]:
    """Flatten a training's state after ``epoch`` epochs to tensors and JSON metadata.

    The optimiser's groups are not kept: they follow from the study file.
    """
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    scalars: dict[str, object] = {}
    for number, state in optimiser.state_dict()["state"].items():
        for key, value in state.items():
            if isinstance(value, Tensor):
                tensors[f"optimiser.{number}.{key}"] = value
            else:
                scalars[f"{number}.{key}"] = value
    return tensors, {"epoch": epoch, "optimiser": scalars}


def epochs_done(saved: Checkpoint) -> int:
    """Return the epochs that were trained when `capture` took the state."""
    epoch = saved.metadata["epoch"]
    assert isinstance(epoch, int)
    return epoch


def restore_network(network: nn.Module, saved: Checkpoint) -> None:
    """Put the network's part of what `capture` took back into an equal network."""
    network.load_state_dict(
        {
            name.removeprefix("network."): tensor
            for name, tensor in saved.tensors.items()
            if name.startswith("network.")
        }
    )


def restore(network: nn.Module, optimiser: Optimizer, saved: Checkpoint) -> int:
    """Put what `capture` took back into an equal network and optimiser; return the epochs done."""
    restore_network(network, saved)
    scalars = saved.metadata["optimiser"]
    assert isinstance(scalars, dict)
    entries = {
        name.removeprefix("optimiser."): tensor
        for name, tensor in saved.tensors.items()
        if name.startswith("optimiser.")
    } | scalars
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    state: dict[int, dict[str, object]] = {}
    for path, value in entries.items():
        number, _, key = path.partition(".")
        restored = value
        if isinstance(value, Tensor):
            # In the parameter's own memory layout: another could round otherwise.
            like = parameters[int(number)]
            restored = torch.empty_like(like) if value.shape == like.shape else value.clone()
            restored.copy_(value)
        state.setdefault(int(number), {})[key] = restored
    optimiser.load_state_dict(
        {"state": state, "param_groups": optimiser.state_dict()["param_groups"]}
    )
    return epochs_done(saved)


def _sequences(directory: Path, name: str) -> list[int]:
    """Return the numbers of the checkpoints of ``name``, newest first."""
    pattern = re.compile(re.escape(name) + r"-(\d{6,})\.safetensors")
    found = (pattern.fullmatch(path.name) for path in directory.glob("*.safetensors"))
    return sorted((int(match[1]) for match in found if match), reverse=True)


def _path(directory: Path, name: str, sequence: int) -> Path:
    return directory / f"{name}-{sequence:06d}.safetensors"
