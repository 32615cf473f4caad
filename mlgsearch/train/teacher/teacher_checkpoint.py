"""A teacher's weights from a file that somebody else wrote."""

import hashlib
import re
import warnings
import zipfile
from collections.abc import Collection, Mapping, Set
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from mlgsearch.errors import DataError

#: Where training scripts put a state_dict in a larger checkpoint, and an average of the weights.
_NESTED = ("state_dict", "model", "model_state_dict", "net")
_AVERAGED = ("model_ema", "state_dict_ema", "ema", "ema_state_dict")
_PICKLED = (".pt", ".pth", ".ckpt", ".bin")

#: What data-parallel training, compilation, Lightning and others put before each name.
_PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.", "network.")

#: An entry of a state that decides nothing: how many batches a batch-norm has seen.
_COUNTER = "num_batches_tracked"

#: The auxiliary heads of GoogLeNet and Inception v3, which are not built.
_AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")

#: The names in torchvision's published DenseNets, of before a module could have no dot in its name.
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\.")


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


def load_checkpoint(
    network: nn.Module, path: Path, entry: str | None = None, new: str | None = None
) -> str:
    """Load a file of weights into a network, in place.

    The state_dict may be nested, its names may have a prefix or be those of torchvision's published
    DenseNets, and it may lack batch-norm's counters or have auxiliary heads.

    Args:
        network: takes the weights.
        path: a ``.safetensors``, ``.pt``, ``.pth``, ``.ckpt`` or ``.bin`` file.
        entry: the name of the state_dict in it, such as ``model_ema``; found where it is None.
        new: the name of a module that keeps its own weights whatever the file has for it.

    Returns:
        What was found in the file, to be said in a line; empty where it is nothing but the state.

    Raises:
        DataError: the file cannot be read as weights, or they are not this network's; the message
            lists the first missing, unexpected and misshaped names.
    """
    expected = network.state_dict()
    found, entries = _find_state(_read(path), path, entry)
    state, prefix = _as_named(found, expected.keys())
    if new is not None:
        own = {name: tensor for name, tensor in expected.items() if name.startswith(f"{new}.")}
        state = {name: t for name, t in state.items() if not name.startswith(f"{new}.")} | own
    for name, tensor in expected.items():
        if name.endswith(_COUNTER):
            state.setdefault(name, tensor)
    _require_fit(path, state, expected)
    for name, tensor in state.items():
        if tensor.is_meta:
            raise DataError(f"teacher.checkpoint: {path}: {name} has a shape and no values")
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise DataError(f"teacher.checkpoint: {path}: {name} holds values that are not finite")
    network.load_state_dict(state)
    said = [f"its entry {' of '.join(map(repr, reversed(entries)))}"] if entries else []
    said += [f"names without {prefix!r}"] if prefix else []
    return f" ({', '.join(said)})" if said else ""


def _require_fit(path: Path, state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Check that a file's state has the names and shapes that a network expects.

    Raises:
        DataError: it has not.
    """
    missing = [name for name in expected if name not in state]
    misshaped = [
        name for name in expected if name in state and state[name].shape != expected[name].shape
    ]
    messages = [
        _first("missing", missing),
        _first("unexpected", [name for name in state if name not in expected]),
        _first(
            "of another shape",
            [
                f"{name} {tuple(state[name].shape)} instead of {tuple(expected[name].shape)}"
                for name in misshaped
            ],
        ),
    ]
    if any(messages):
        hint = ""
        if not messages[1] and len(_modules([*misshaped, *missing])) == 1:
            hint = "; write teacher.head: new to take all but this layer, and train"
        raise DataError(
            f"teacher.checkpoint: {path} does not fit the network of model.name: "
            + "; ".join(filter(None, messages))
            + hint
        )


def _read(path: Path) -> object:
    if path.suffix not in (".safetensors", *_PICKLED):
        raise DataError(
            f"teacher.checkpoint: {path} must end in .safetensors, "
            f"{', '.join(_PICKLED[:-1])} or {_PICKLED[-1]}"
        )
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        # Explicit: TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD would otherwise let a file run code.
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Validating sparse tensor invariants")
            return torch.load(path, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        raise DataError(
            f"teacher.checkpoint: {path} cannot be read as weights alone: {error}"
        ) from error
    except Exception as error:  # torch does not say what its reader may raise on a bad file
        raise DataError(
            f"teacher.checkpoint: {path} cannot be read as weights alone: {_reason(path)}"
        ) from error


def _reason(path: Path) -> str:
    """Return in a line what to do with a file that torch cannot read; torch's message has ten."""
    if zipfile.is_zipfile(path):
        return "it holds more than tensors; save `model.state_dict()` alone"
    return "it is cut off, or no file of torch.save; save `model.state_dict()` with torch.save"


def _find_state(
    content: object, path: Path, entry: str | None
) -> tuple[dict[str, Tensor], list[str]]:
    """Return the state, and the entries that it lies under, the outermost first."""
    if isinstance(content, Mapping):
        if entry is not None:
            if not isinstance(content.get(entry), Mapping):
                raise DataError(
                    f"teacher.entry: {path} has no state_dict called {entry!r}; it has "
                    f"{', '.join(map(repr, content)) or 'nothing'}"
                )
            state, inner = _find_state(content[entry], path, None)
            return state, [entry, *inner]
        for key in (*_NESTED, *_AVERAGED):
            if isinstance(content.get(key), Mapping):
                state, inner = _find_state(content[key], path, None)
                return state, [key, *inner]
        if content and all(isinstance(value, Tensor) for value in content.values()):
            dense = {n: t.to_dense() if t.is_sparse else t for n, t in content.items()}
            return dense, []
    raise DataError(
        f"teacher.checkpoint: {path} holds no state_dict (names to tensors), neither at its top "
        f"nor under {', '.join(map(repr, (*_NESTED, *_AVERAGED)))}"
    )


def _as_named(state: Mapping[str, Tensor], expected: Set[str]) -> tuple[dict[str, Tensor], str]:
    """Bring names to those of a network, as far as they follow a custom; return what came before.

    The averaged models of torch count what they averaged beside the weights.
    """
    found = {name: t for name, t in state.items() if name.rpartition(".")[2] != "n_averaged"}
    taken_off = ""
    while found and not expected & found.keys():
        prefix = next((p for p in _PREFIXES if all(n.startswith(p) for n in found)), None)
        if prefix is None:
            break
        taken_off += prefix
        found = {name.removeprefix(prefix): tensor for name, tensor in found.items()}
    found = {_modern(name, expected): tensor for name, tensor in found.items()}
    kept = {n: t for n, t in found.items() if n in expected or not n.startswith(_AUXILIARY)}
    return kept, taken_off


def _modern(name: str, expected: Collection[str]) -> str:
    renamed = _OLD_DENSENET.sub(r"\1\2.", name)
    return renamed if name not in expected and renamed in expected else name


def _modules(names: Collection[str]) -> set[str]:
    return {name.rpartition(".")[0] for name in names}


def _first(what: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{what}: {', '.join(names[:3])}{more}"
