"""A student as a file of any format."""

from collections.abc import Callable, Mapping
from pathlib import Path

from torch import nn

from mlgsearch.errors import UserError
from mlgsearch.records import ExportFormat
from mlgsearch.train.files.coded_file import write_coded
from mlgsearch.train.files.dense_file import write_dense, write_dense_onnx
from mlgsearch.train.files.onnx.graph import onnx_needed
from mlgsearch.train.files.packed_card import PackedCard
from mlgsearch.train.files.packed_file import write_packed


def _write_onnx(path: Path, network: nn.Module, card: PackedCard) -> int:
    with onnx_needed():
        from mlgsearch.train.files.onnx.onnx_file import write_onnx  # an optional dependency
    return write_onnx(path, network, card)


def _write_c(path: Path, network: nn.Module, card: PackedCard) -> int:
    with onnx_needed():
        from mlgsearch.train.files.c.c_folder import write_c  # an optional dependency
    return write_c(path, network, card)


_WRITERS: Mapping[ExportFormat, Callable[[Path, nn.Module, PackedCard], int]] = {
    "packed": write_packed,
    "coded": write_coded,
    "dense": write_dense,
    "onnx": _write_onnx,
    "dense_onnx": write_dense_onnx,
    "c": _write_c,
}


def write_student(kind: ExportFormat, path: Path, network: nn.Module, card: PackedCard) -> int:
    """Write a student that is in eval mode on the CPU; return the bytes written.

    ``c`` writes two files into the folder ``path``; their sizes are added.

    Raises:
        UserError: the format is unknown, cannot hold the student, needs a package that is not
            installed, or cannot be written.
        DataError: the network holds a number that is not finite.
    """
    if kind not in _WRITERS:
        raise UserError(f"unknown format {kind!r}; there are {', '.join(_WRITERS)}")
    try:
        return _WRITERS[kind](path, network, card)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from error


def at_norm_bits(card: PackedCard, kind: ExportFormat, norm_bits: int | None) -> PackedCard:
    """Return the card of a file whose batch-norm has other bits than the student; None for none.

    The file's accuracy is not known then.

    Raises:
        UserError: the bits are not 8, or the format does not have them.
    """
    if norm_bits is None:
        return card
    if norm_bits != 8:
        raise UserError(f"norm_bits is {norm_bits!r}, expected 8, or nothing for the student's own")
    if kind not in ("packed", "coded"):
        raise UserError(f"batch-norm at 8 bits is for packed and coded files, not {kind}")
    return card.model_copy(update={"norm_bits": 8, "accuracy": None})


def require_free(
    path: Path, kind: ExportFormat, *, may_replace: bool, how: str = "write --force"
) -> None:
    """Check that a file, or for ``c`` a folder, can be written at a path.

    ``how`` says what allows to replace what is there.

    Raises:
        UserError: something else is there, or what is there may not be replaced.
    """
    is_folder = kind == "c"
    try:
        is_there, is_other = path.exists(), path.exists() and path.is_dir() != is_folder
    except OSError as error:  # a name that no file can have
        raise UserError(f"{path}: cannot be written: {error.strerror}") from error
    if is_other:
        what = "is a file, and C is written as a folder" if is_folder else "is a folder"
        raise UserError(f"{path}: {what}")
    if is_there and not may_replace:
        raise UserError(f"{path}: exists: {how} to replace it")
