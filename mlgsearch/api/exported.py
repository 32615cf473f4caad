"""What an exported file is, by its content."""

import json
import struct
from pathlib import Path

from mlgsearch.errors import DataError, UserError
from mlgsearch.records import ExportFormat
from mlgsearch.results.model_card import CardFile

#: A coded file begins with it.
_CODED = b"MLG3"
#: Where an ONNX file names its producer; an exporter of torch's names itself.
_PRODUCER = slice(0, 32)
_MOST_HEADER = 1 << 24


def card_file(path: Path) -> CardFile:
    """Return the name, format and size of a file, or of a C program's folder, for its card.

    Raises:
        UserError: it is not there, or nothing that `export` wrote.
    """
    try:
        if path.is_dir():
            parts = [part for part in path.iterdir() if part.is_file()]
            if not {"student.h", "mlg.c"} <= {part.name for part in parts}:
                raise UserError(f"{path}: no C program that `export` wrote: it lacks student.h")
            return CardFile(path.name, "c", sum(part.stat().st_size for part in parts))
        with path.open("rb") as file:
            beginning = file.read(8)
            (length,) = struct.unpack("<Q", beginning.ljust(8, b"\0"))
            beginning += file.read(min(length, _MOST_HEADER))  # all of a coded one's metadata too
        kind, rounds_norm = _format(path, beginning)
        return CardFile(path.name, kind, path.stat().st_size, rounds_norm)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file: export it first") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error


def _format(path: Path, beginning: bytes) -> tuple[ExportFormat, bool]:
    """Return the format of a file, and whether its batch-norm was rounded for it."""
    foreign = UserError(f"{path}: not a file that `export` wrote")
    if beginning.startswith(_CODED):
        from mlgsearch.train.files.coded_file import read_coded_card  # loads torch

        try:
            return "coded", read_coded_card(beginning).norm_bits == 8
        except DataError:
            raise foreign from None
    try:
        texts = json.loads(beginning[8:])["__metadata__"]
    except (ValueError, KeyError, TypeError, RecursionError):
        texts = None
    if isinstance(texts, dict) and "settings" in texts:
        is_packed = str(texts.get("format")).startswith("mlgsearch-packed-")
        return ("packed", texts.get("norm_bits") == "8") if is_packed else ("dense", False)
    if beginning[:1] == b"\x08":  # a version comes first in a ModelProto
        return ("onnx" if b"mlgsearch" in beginning[_PRODUCER] else "dense_onnx"), False
    raise foreign
