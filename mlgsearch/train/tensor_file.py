"""A safetensors file that is never half written and never trusted unchecked.

It holds tensors, JSON metadata, and a SHA-256 over both in its header, so that file and checksum
cannot come apart; any safetensors reader opens it.
"""

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

_log = logging.getLogger(__name__)

#: The one key of a file's safetensors metadata (which holds strings only, in no fixed order).
_KEY = "mlgsearch"


class DamagedFileError(Exception):
    """A file is truncated, altered, or not one of ours; for callers to fall back on, or report."""


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, object]
) -> None:
    """Write ``path`` atomically: temporary name in the same directory, fsync, rename.

    Two writers at once are harmless: the last one's whole file stays. ``metadata`` must be JSON;
    floats come back exactly.
    """
    # Copied, for safetensors refuses tensors that share memory.
    own = {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    _, texts = seal(own, metadata)
    write_atomically(path, save(own, texts))


def seal(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, object]
) -> tuple[str, dict[str, str]]:
    """Return the checksum of a file's content, and the safetensors metadata that hold it.

    The tensors must be contiguous and on the CPU.
    """
    checksum = _digest(tensors, metadata)
    ours = {"metadata": metadata, "sha256": checksum}
    return checksum, {_KEY: json.dumps(ours, sort_keys=True)}


def write_atomically(path: Path, content: bytes) -> int:
    """Write a whole file, and return its size: temporary name in the same directory, fsync, rename.

    Only its owner may write to it, and to a folder that is made for it, whatever the umask.

    Raises:
        OSError: it cannot be written; what was at ``path`` is as it was.
    """
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{uuid4().hex[:8]}.tmp")
    try:
        with open_new(temporary) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return len(content)


def open_new(path: Path) -> BinaryIO:
    """Open a file that is not there yet, to which only its owner may write.

    Raises:
        OSError: it is there, or cannot be made.
    """
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "wb")


def read_tensors(
    path: Path, *, verifies: bool = True
) -> tuple[dict[str, Tensor], dict[str, object]]:
    """Return the tensors, backed by the mapped file (processes share its pages), and the metadata.

    Without ``verifies`` nothing but the header is read here: for a large file that another process
    has verified.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedFileError: it is truncated or altered, or was not written by mlgsearch.
    """
    if not path.exists():
        raise FileNotFoundError(path)
    try:
        with safe_open(path, framework="pt") as file:
            texts = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise DamagedFileError(f"{path} is truncated or no safetensors file: {error}") from error
    try:
        ours = json.loads(texts[_KEY])
        metadata, expected = ours["metadata"], ours["sha256"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise DamagedFileError(f"{path} was not written by mlgsearch, or is altered") from error
    if not verifies:
        return tensors, metadata
    found = _digest(tensors, metadata)
    if found != expected:
        raise DamagedFileError(f"{path} is altered: SHA-256 {found}, not {expected}")
    return tensors, metadata


def read_cached(path: Path, what: str) -> tuple[dict[str, Tensor], dict[str, object]] | None:
    """Return what `read_tensors` does; None where it is not there, or damaged, which is logged."""
    try:
        return read_tensors(path)
    except FileNotFoundError:
        return None
    except DamagedFileError as error:
        _log.warning("the cached %s cannot be used: %s", what, error)
        return None


def _digest(tensors: Mapping[str, Tensor], metadata: Mapping[str, object]) -> str:
    """Hash names, types, shapes and bytes of contiguous CPU tensors, and the metadata."""
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
