"""A teacher's weights from a file that somebody else wrote."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from mlgsearch.errors import DataError

#: Where training scripts put a state_dict in a larger checkpoint.
_NESTED = ("state_dict", "model", "model_state_dict", "net")
_PICKLED = (".pt", ".pth")


def checkpoint_sha256(path: Path) -> str:
    """Hash a checkpoint file.

    Raises:
        DataError: it is missing or cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"teacher.checkpoint: {path} cannot be read: {error.strerror}") from error


def load_checkpoint(network: nn.Module, path: Path) -> None:
    """Load a ``.safetensors``, ``.pt`` or ``.pth`` file into a network, in place.

    A state_dict nested under "state_dict", "model" and the like is found, and the ``module.``
    that data-parallel training puts before each name is taken off.

    Raises:
        DataError: the file cannot be read as weights, or they are not this network's; the message
            lists the first missing, unexpected and misshaped names.
    """
    state = _without_module_prefix(_find_state(_read(path), path))
    expected = network.state_dict()
    complaints = [
        _first("missing", [name for name in expected if name not in state]),
        _first("unexpected", [name for name in state if name not in expected]),
        _first(
            "of another shape",
            [
                f"{name} {tuple(state[name].shape)} instead of {tuple(tensor.shape)}"
                for name, tensor in expected.items()
                if name in state and state[name].shape != tensor.shape
            ],
        ),
    ]
    if any(complaints):
        raise DataError(
            f"teacher.checkpoint: {path} does not fit the network of model.name: "
            + "; ".join(filter(None, complaints))
        )
    network.load_state_dict(state)


def _read(path: Path) -> object:
    if path.suffix not in (".safetensors", *_PICKLED):
        raise DataError(
            f"teacher.checkpoint: {path} must end in .safetensors, {' or '.join(_PICKLED)}"
        )
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        # Explicit: TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD would otherwise let a file run code.
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch does not say what its reader may raise on a bad file
        said = f"{error}" or type(error).__name__
        raise DataError(
            f"teacher.checkpoint: {path} cannot be read as weights alone: {said}"
        ) from error


def _find_state(content: object, path: Path) -> dict[str, Tensor]:
    if isinstance(content, Mapping):
        for key in _NESTED:
            if isinstance(content.get(key), Mapping):
                return _find_state(content[key], path)
        if content and all(isinstance(value, Tensor) for value in content.values()):
            return dict(content)
    raise DataError(
        f"teacher.checkpoint: {path} holds no state_dict (names to tensors), neither at its top "
        f"nor under {', '.join(map(repr, _NESTED))}"
    )


def _without_module_prefix(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix("module."): tensor for name, tensor in state.items()}


def _first(what: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{what}: {', '.join(names[:3])}{more}"
