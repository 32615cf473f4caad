"""What students of a custom task are judged by."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Metric:
    """One number that says how good a network is.

    ``measure`` is called with a network in eval mode, without gradients, and returns the number; it
    goes through the validation data itself, batch by batch. ``name`` is the column it has in
    tables. ``larger_is_better`` is the direction: True for an accuracy, False for an error.
    """

    name: str
    measure: "Callable[[nn.Module], float]"
    larger_is_better: bool
