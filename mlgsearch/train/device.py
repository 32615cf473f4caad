"""The device a training runs on."""

import torch

from mlgsearch.train.heap import give_back_freed_memory, keep_freed_memory


def best_device() -> torch.device:
    """Give the current CUDA device where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


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
    """Give the faster layout for images (C, H, W) through a convolutional network."""
    _, height, width = input_shape
    return torch.channels_last if height * width > 1 else torch.contiguous_format


def release_memory(device: torch.device) -> None:
    """Give cached memory back, between trials of one worker."""
    give_back_freed_memory()
    if device.type == "cuda":
        torch.cuda.empty_cache()
