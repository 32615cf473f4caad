"""Images of a set by their position, wherever they lie: on the device, in memory, in a file."""

import ctypes
import mmap

import torch
from torch import Tensor

from mlgsearch.train.data.images import blocks, rows_within
from mlgsearch.train.data.memory import available_memory

#: Bytes that are copied to a device at once.
_COPIED = 64 * 2**20


class PixelSource:
    """A part of a set's images.

    On the CPU they are read where they are, without a copy; where they take more than half of the
    memory that is free, what is expected is read ahead. On another device they are kept there,
    where they take no more than half of what is free, or sent batch by batch.

    Args:
        pixels: uint8 (N, C, H, W) on the CPU, may be a mapped file.
        index: the positions that are in the part, (M,).
        device: where the images are wanted.
    """

    def __init__(self, pixels: Tensor, index: Tensor, device: torch.device) -> None:
        self._device = device
        self._pixels = pixels
        self._index = index
        self._reader: RowReader | None = None
        held = len(index) * pixels[0].numel()
        if device.type != "cpu" and held <= torch.cuda.mem_get_info(device)[0] // 2:
            self._pixels = torch.empty((len(index), *pixels.shape[1:]), dtype=torch.uint8).to(
                device
            )
            for part in blocks(torch.arange(len(index)), rows_within(_COPIED, pixels)):
                self._pixels[part.to(device)] = pixels[index[part]].to(device)
            self._index = torch.arange(len(index), device=device)
        elif pixels.numel() > available_memory() // 2:
            self._reader = RowReader(pixels)

    def __len__(self) -> int:
        return len(self._index)

    def expect(self, positions: Tensor) -> None:
        """Begin to read images that `take` will ask for; does nothing where they are in memory."""
        if self._reader is not None:
            self._reader.expect(self._index[positions.to(self._index.device)])

    def take(self, positions: Tensor) -> Tensor:
        """Return the images at positions (B,) of the part, (B, C, H, W) uint8 on the device."""
        rows = self._index[positions.to(self._index.device)]
        if self._reader is not None:
            self._reader.expect(rows)  # all of the batch at once, where nothing was expected
        return self._pixels[rows].to(self._device)


class RowReader:
    """Asks the kernel for rows of a mapped tensor that are needed soon.

    ``pixels`` (N, ...) is contiguous and on the CPU. A row that is in memory already costs a look.
    """

    def __init__(self, pixels: Tensor) -> None:
        self._address = pixels.data_ptr()
        self._row_bytes = pixels[0].numel() * pixels.element_size()
        self._madvise = ctypes.CDLL(None, use_errno=True).madvise
        self._madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        # A fault reads no neighbours: rows are taken in a random order.
        first = self._address // mmap.PAGESIZE * mmap.PAGESIZE
        length = self._address + pixels.numel() * pixels.element_size() - first
        self._madvise(first, length, mmap.MADV_RANDOM)

    def expect(self, rows: Tensor) -> None:
        """Begin to read rows (B,); what fails is read when it is needed."""
        for row in rows.tolist():
            start = self._address + row * self._row_bytes
            first = start // mmap.PAGESIZE * mmap.PAGESIZE
            self._madvise(first, start + self._row_bytes - first, mmap.MADV_WILLNEED)
