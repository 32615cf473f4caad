"""How the C library treats freed memory."""

import ctypes
import platform

_M_TRIM_THRESHOLD = -1  # of glibc's malloc.h
_M_MMAP_THRESHOLD = -3
_MOST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let this process keep the memory it frees, for its next allocation; tell whether it does.

    A training step frees and takes gigabytes. glibc gives large blocks back to the system at
    once, which then clears every page again: on a CPU a tenth of a ResNet-18 step went there (see
    benchmarks/README.md). Other C libraries are left alone.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(mallopt(name, _MOST) == 1 for name in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD))


def give_back_freed_memory() -> None:
    """Give back to the system what this process has freed, as between two trainings."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
