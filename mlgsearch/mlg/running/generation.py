"""When a student's weights are generated: anew for each batch, or once for many."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.utils import parametrize

from mlgsearch.mlg.running.own_forms import Kept, OwnForms


@contextmanager
def generated_once(network: nn.Module) -> Iterator[None]:
    """Quantise and generate each layer's weights once, at its first batch, until the block ends.

    For evaluation: no factor may change inside the block, and no gradient reaches one.
    """
    layers = [
        module
        for module in network.modules()
        if isinstance(module, OwnForms) and module.kept is None
    ]
    for layer in layers:
        layer.kept = Kept()
    try:
        # Subclasses of torch's layers keep their own forward, which reads `weight`.
        with parametrize.cached():
            yield
    finally:
        for layer in layers:
            layer.kept = None


def keep_generated(network: nn.Module) -> None:
    """Make a network whose factors are final generate its weights only once.

    Moving it or loading a state generates them anew; a factor changed in place is not seen.
    """
    for module in network.modules():
        if isinstance(module, OwnForms):
            module.kept = Kept()
