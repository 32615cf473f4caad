"""How long a forward pass takes, two networks side by side."""

import statistics
import time
from dataclasses import dataclass

import torch
from torch import nn

from mlgsearch.mlg.running.generation import generated_once
from mlgsearch.train.device import memory_format

#: The sizes of batches that are timed, how often each, and how often before that.
_BATCHES = (1, 64)
_REPEATS = 30
_WARM_UP = 3


@dataclass(frozen=True)
class Latency:
    """Median milliseconds of one forward pass of ``batch`` images, on the CPU.

    ``onnx_ms`` is that of an ONNX file in onnxruntime, where there is one.
    """

    batch: int
    packed_ms: float
    dense_ms: float
    onnx_ms: float | None = None


def compare_latency(
    packed: nn.Module,
    dense: nn.Module,
    input_shape: tuple[int, int, int],
    *,
    onnx: nn.Module | None = None,
) -> list[Latency]:
    """Time networks in eval mode by turns, so that whatever else the machine does meets all.

    Weights that a form generates are generated once, not at each pass.
    """
    found = []
    layout = memory_format(input_shape)
    networks = [packed, dense] if onnx is None else [packed, dense, onnx]
    with torch.inference_mode(), generated_once(packed):
        for batch in _BATCHES:
            images = torch.rand(batch, *input_shape).contiguous(memory_format=layout)
            times: list[list[float]] = [[] for _ in networks]
            for turn in range(_WARM_UP + _REPEATS):
                for network, taken in zip(networks, times, strict=True):
                    began = time.perf_counter()
                    network(images)
                    if turn >= _WARM_UP:
                        taken.append(1000 * (time.perf_counter() - began))
            found.append(Latency(batch, *map(statistics.median, times)))
    return found
