"""A student as a C program: a folder of ``student.h`` and ``mlg.c``."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from mlgsearch.mlg.packing.packed import pack_network
from mlgsearch.train.files.c.builder import make_program
from mlgsearch.train.files.c.header import header_text
from mlgsearch.train.files.packed_card import PackedCard
from mlgsearch.train.tensor_file import write_atomically

#: The program that every header is compiled with.
SOURCE = Path(__file__).with_name("mlg.c")
HEADER_NAME = "student.h"


def c_files(
    network: nn.Module, card: PackedCard, tensors: Mapping[str, Tensor]
) -> dict[str, bytes]:
    """Return the files of a compressed network's C program, by name.

    Args:
        network: the student, on the CPU, in eval mode.
        card: what its packed file says of it.
        tensors: its packed file's.

    Raises:
        UserError: torch's exporter is not installed or cannot express the network, or the network
            computes what ``mlg.c`` does not know.
    """
    header = header_text(make_program(network, card, tensors), card, tensors)
    return {HEADER_NAME: header.encode(), SOURCE.name: SOURCE.read_bytes()}


def write_c(folder: Path, network: nn.Module, card: PackedCard) -> int:
    """Write a student's C program into a folder; return the bytes of its files.

    Raises:
        DataError: the network holds a number that is not finite.
        UserError: as ``c_files``.
        OSError: it cannot be written.
    """
    files = c_files(network, card, pack_network(network, card.method))
    for name, content in files.items():
        write_atomically(folder / name, content)
    return sum(map(len, files.values()))
