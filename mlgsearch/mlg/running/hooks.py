"""Hooks on modules for a while."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def hooked(
    modules: Iterable[nn.Module], hook: Callable[..., None], *, with_kwargs: bool = False
) -> Iterator[None]:
    """Have a hook called after each forward of modules; arguments as `register_forward_hook`."""
    handles = [module.register_forward_hook(hook, with_kwargs=with_kwargs) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
