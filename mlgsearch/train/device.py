"""The device a training runs on, and how its C library treats freed memory."""

import ctypes
import platform
from typing import Any

import torch

_M_TRIM_THRESHOLD = -1  # of glibc's malloc.h
_M_MMAP_THRESHOLD = -3
_MOST = 2**31 - 1


def best_device() -> torch.device:
    """Return the current CUDA device where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def emulates_bfloat16(device: torch.device) -> bool:
    """Return whether a processor computes in bfloat16 by way of float32, which is slower.

    Not known before torch 2.11, and then false.
    """
    look = getattr(torch.cpu, "get_capabilities", None)
    if device.type != "cpu" or look is None:
        return False
    capabilities: dict[str, Any] = look()
    return not any("bf16" in name for name, has in capabilities.items() if has)


def set_up_device(device: torch.device, threads: int | None = None) -> None:
    """Set this process up for training on a device.

    That is its thread count, what its C library does with freed memory, and CUDA convolutions that
    repeat bit for bit.
    """
    keep_freed_memory()
    if threads is not None:
        torch.set_num_threads(threads)
    if device.type == "cuda":
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False


def memory_format(input_shape: tuple[int, int, int]) -> torch.memory_format:
    """Return the faster layout for images (C, H, W) through a convolutional network."""
    _, height, width = input_shape
    return torch.channels_last if height * width > 1 else torch.contiguous_format


def release_memory(device: torch.device) -> None:
    """Free cached memory, between trials of one worker."""
    give_back_freed_memory()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def keep_freed_memory() -> bool:
    """Make this process keep the memory it frees for its next allocation; return whether it does.

    A training step frees and takes gigabytes. glibc gives large blocks back to the system at
    once, which then clears every page again: on a CPU a tenth of a ResNet-18 step went there (see
    benchmarks/README.md). Other C libraries are left alone.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(mallopt(name, _MOST) == 1 for name in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD))


def give_back_freed_memory() -> None:
    """Return to the system what this process has freed, as between two trainings."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
