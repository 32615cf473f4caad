"""A C program again: what its header says of itself, and its network compiled here."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from weakref import finalize

import numpy as np
import torch
from torch import Tensor, nn

from mlgsearch.errors import DataError, UserError
from mlgsearch.train.files.onnx.graph import onnx_needed
from mlgsearch.train.files.packed_card import PackedCard
from mlgsearch.train.files.packed_file import MOST_FILE_BYTES, build_packed

#: How often an image is run to measure its time.
_TIMED_IMAGES = 30

_STREAMS: dict[str, type[np.generic]] = {
    "CODES": np.uint8,
    "NUMBERS": np.float32,
    "HALVES": np.uint16,
}


@dataclass(frozen=True)
class CFigures:
    """What a C program takes on this machine, compiled with -O2.

    ``flash_bytes`` are its code (``code_bytes``, without ``main`` and libraries) and its tables;
    ``scratch_bytes`` and ``activation_bytes`` its static memory; ``image_ms`` the mean milliseconds
    of processor time per image.
    """

    flash_bytes: int
    code_bytes: int
    scratch_bytes: int
    activation_bytes: int
    image_ms: float


class CNetwork(nn.Module):
    """Computes logits with the compiled program, which lies in a temporary folder.

    ``packed`` is the network of the packed file of the same student, ``tensors`` are that file's.
    """

    def __init__(self, packed: nn.Module, card: PackedCard, tensors: dict[str, Tensor]) -> None:
        super().__init__()
        self.packed, self.card, self.tensors = packed, card, tensors
        self._folder = Path(mkdtemp(prefix="mlgsearch-c-"))
        finalize(self, shutil.rmtree, self._folder)

    def compile(self, files: dict[str, bytes]) -> None:
        """Compile the program.

        Raises:
            UserError: there is no compiler, or it fails.
        """
        for name, content in files.items():
            self._path(name).write_bytes(content)
        source = str(self._path("mlg.c"))
        options = ["-O2", "-std=c99", source]
        self._call([_tool("cc", "gcc", "clang"), *options, "-o", str(self._path("run")), "-lm"])
        self._call([_tool("cc", "gcc", "clang"), *options, "-DMLG_NO_MAIN", "-c"])

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W), on the CPU, to logits (B, classes)."""
        numbers = " ".join(f"{number:.9g}" for number in x.contiguous().flatten().tolist())
        printed, _ = self._call([str(self._path("run")), "-n"], numbers.encode())
        lines = printed.decode().splitlines()
        return torch.tensor([[float(number) for number in line.split()] for line in lines])

    def figures(self) -> CFigures:
        """Measure the program on images of zeros."""
        images = bytes(int(np.prod(self.card.input_shape)) * _TIMED_IMAGES)
        _, said = self._call([str(self._path("run")), "-t"], images)
        tables, scratch, arena, time = re.findall(rb"[0-9][0-9.]*", said)
        sections, _ = self._call([_tool("size"), str(self._path("mlg.o"))])
        flash = int(sections.splitlines()[1].split()[0])
        return CFigures(flash, flash - int(tables), int(scratch), int(arena), float(time))

    def _path(self, name: str) -> Path:
        return self._folder / name

    def _call(self, command: list[str], content: bytes = b"") -> tuple[bytes, bytes]:
        done = subprocess.run(
            command, input=content, capture_output=True, check=False, cwd=self._folder
        )
        if done.returncode != 0:
            lines = done.stderr.decode(errors="replace").splitlines() or ["it says nothing"]
            raise UserError(f"{Path(command[0]).name} fails on the C program: {lines[0]}")
        return done.stdout, done.stderr


def open_c(folder: Path, *, build: Callable[..., object] | None = None) -> CNetwork:
    """Read a folder that ``export --format c`` wrote, and compile it with this machine's compiler.

    What is compiled is written anew from the header's codes and must be what the folder holds, so
    no foreign code runs.

    Raises:
        DataError: the folder cannot be read, or is not what this version would write.
        UserError: there is no C compiler, or onnx is not installed.
    """
    with onnx_needed():
        from mlgsearch.train.files.c.c_folder import HEADER_NAME, c_files  # an optional dependency
    header = folder / HEADER_NAME
    try:
        if header.stat().st_size > MOST_FILE_BYTES:
            raise DataError(f"{header}: {header.stat().st_size} bytes are too many for a header")
        text = header.read_text(encoding="utf-8")
        try:
            card, tensors = _parsed(text)
        except DataError as error:
            raise DataError(f"{header}: {error}") from error
        network = CNetwork(build_packed(header, card, tensors, build=build), card, tensors)
        files = c_files(network.packed, card, tensors)
        found = {name: (folder / name).read_bytes() for name in files}
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise DataError(f"{header}: no header that mlgsearch wrote") from error
    if found != files:
        raise DataError(f"{folder}: it is not as this version of mlgsearch writes it")
    network.compile(files)
    return network


def _parsed(text: str) -> tuple[PackedCard, dict[str, Tensor]]:
    """Return the card and the packed file's tensors; ValueError where the text is another's."""
    metadata = re.search(r'^("format": .*?) \*/$', text, re.S | re.M)
    counted = re.search(
        r"^/\* Of the packed file: (\d+) of NUMBERS, (\d+) of HALVES\. ", text, re.M
    )
    if metadata is None or counted is None:
        raise ValueError
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    for name, kind in _STREAMS.items():
        found = re.search(rf"^static const \w+ {name}\[\] = {{\n([^}}]*),\n}};$", text, re.M)
        if found is None:
            raise ValueError
        numbers = found[1].replace("f", "").replace("\n", "").split(",")
        arrays[name] = np.array(numbers, np.float64).astype(kind)
    tensors = {
        "codes": torch.from_numpy(arrays["CODES"][:-1]),
        "numbers": torch.from_numpy(arrays["NUMBERS"][: int(counted[1])]),
    }
    if halves := int(counted[2]):
        tensors["halves"] = torch.from_numpy(arrays["HALVES"][:halves].view(np.float16))
    return PackedCard.from_metadata(json.loads(f"{{{metadata[1]}}}")), tensors


def _tool(*names: str) -> str:
    for name in names:
        if (found := shutil.which(name)) is not None:
            return found
    raise UserError(f"C programs are measured with {names[0]}, which is not installed")
