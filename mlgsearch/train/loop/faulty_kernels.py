"""Kernels of libraries below torch whose gradients are wrong, and how trainings avoid them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TypeGuard

from torch import Tensor, nn

#: oneDNN's block of channels with AVX2 is 8, with AVX-512 16.
_BLOCK = 16


class StridedPointwise:
    """The 1x1 convolutions with a stride and few input channels of a network on a CPU.

    For these, oneDNN (3.12, in torch 2.14.1) writes past its workspace when it computes the
    gradient of the weight in channels_last: with AVX2 the process crashes, hangs, or goes on with
    wrong gradients (https://github.com/uxlfoundation/oneDNN/issues/6035). Taking every n-th pixel
    first, and convolving those without a stride, is the same and goes through another kernel.
    """

    def __init__(self, network: nn.Module) -> None:
        self._modules = [module for module in network.modules() if _is_affected(module)]

    @contextmanager
    def avoided(self) -> Iterator[None]:
        """Run forward passes inside, and their backward passes, without the faulty kernel."""
        with ExitStack() as restore:
            for module in self._modules:
                stride = module.stride
                hook = module.register_forward_pre_hook(partial(_take_every, stride))
                restore.callback(hook.remove)
                restore.callback(setattr, module, "stride", stride)
                module.stride = (1, 1)
            yield


def _is_affected(module: nn.Module) -> TypeGuard[nn.Conv2d]:
    return (
        isinstance(module, nn.Conv2d)
        and module.kernel_size == (1, 1)
        and max(module.stride) > 1
        and module.padding in ("valid", (0, 0))
        and module.in_channels // module.groups < _BLOCK
    )


def _take_every(stride: tuple[int, ...], _: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    rows, columns = stride
    return (inputs[0][..., ::rows, ::columns],)
