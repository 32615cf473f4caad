"""A safetensors file that is filled in place, for tensors larger than memory."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

import numpy as np
import torch

from mlgsearch.train.tensor_file import open_new, seal

#: Bytes kept for the file's header, which is known in full only at the end.
_HEADER = 4096
_DTYPES = {"uint8": "U8", "int16": "I16", "float16": "F16"}


class TensorWriter:
    """One tensor in a file that appears under its name when it is whole.

    ``array`` is the mapped tensor, (rows, ...), to be filled from any thread. `commit` writes the
    header with the checksum that `read_tensors` looks at, and renames the file; leaving the context
    without that removes it.

    Args:
        path: of the file.
        name: of the tensor.
        shape: of the tensor.
        dtype: ``uint8``, ``int16`` or ``float16``.

    Raises:
        OSError: there is no room for it.
    """

    def __init__(self, path: Path, name: str, shape: tuple[int, ...], dtype: str) -> None:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}-{uuid4().hex[:8]}.tmp")
        self._path, self._name, self._dtype = path, name, dtype
        row = int(np.prod(shape[1:])) * np.dtype(dtype).itemsize
        self._row_bytes = row
        with open_new(self._temporary) as file:
            try:  # a map over room that is not there would end the process
                os.posix_fallocate(file.fileno(), 0, _HEADER + max(1, shape[0] * row))
            except OSError:
                self._temporary.unlink()
                raise
        self.array = np.memmap(self._temporary, dtype, mode="r+", offset=_HEADER, shape=shape)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._temporary.unlink(missing_ok=True)

    def commit(self, metadata: Mapping[str, object], rows: int | None = None) -> str:
        """Write the header, and rename the file; returns its checksum.

        ``rows`` keeps that many from the start. ``{sha256}`` in the path's name becomes the
        checksum.
        """
        kept = self.array[:rows]
        checksum, text = seal({self._name: torch.from_numpy(kept)}, metadata)
        header = json.dumps(
            {
                "__metadata__": text,
                self._name: {
                    "dtype": _DTYPES[self._dtype],
                    "shape": list(kept.shape),
                    "data_offsets": [0, len(kept) * self._row_bytes],
                },
            }
        ).encode()
        room = _HEADER - 8
        assert len(header) <= room, "metadata are a few words"
        self.array.flush()
        with self._temporary.open("r+b") as file:
            file.write(room.to_bytes(8, "little") + header.ljust(room))
            file.truncate(_HEADER + len(kept) * self._row_bytes)
            file.flush()
            os.fsync(file.fileno())
        name = self._path.name.replace("{sha256}", checksum)
        self._temporary.replace(self._path.with_name(name))
        return checksum
