"""Reading ahead of rows of a mapped tensor, so that a training step does not wait for the disk."""

import ctypes
import mmap

from torch import Tensor


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
