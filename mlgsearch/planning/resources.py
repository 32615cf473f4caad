"""What a network may use beside its bits, and what each option of a layer uses of it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlgsearch.planning.tables import Tables

#: Objectives that are sums over the layers, known before training, and are not bits.
SUMS = ("parameter_ratio", "generation_macs", "execution_macs")


@dataclass(frozen=True, eq=False)
class Resource:
    """A sum over layers that has a limit.

    ``limit`` is for the whole network, ``most`` what its layers may use together, both in the
    objective's own unit; ``uses`` gives by layer what each option of its list uses, (options,).
    """

    name: str
    limit: float
    most: float
    uses: Mapping[str, NDArray[np.float64]]

    def used(self, picks: Mapping[str, int]) -> float:
        """Return what the layers use at one option each."""
        return float(sum(self.uses[name][pick] for name, pick in picks.items()))

    @property
    def least(self) -> float:
        """What the layers use at least, whatever their bits."""
        return float(sum(uses.min() for uses in self.uses.values()))


def resources_of(tables: Tables, limits: Mapping[str, float]) -> list[Resource]:
    """Return the limits that are neither of bits nor of the packed file."""
    return [
        Resource(
            name,
            limits[name],
            limits[name] - _fixed(tables, name),
            {layer: _uses(tables, name, layer) for layer in tables.layers},
        )
        for name in SUMS
        if name in limits
    ]


def _fixed(tables: Tables, name: str) -> float:
    shape = tables.shape
    if name != "parameter_ratio":
        return 0.0
    return (shape.norm_parameters + shape.other_parameters) / shape.full_parameters


def _uses(tables: Tables, name: str, layer: str) -> NDArray[np.float64]:
    table = tables.layers[layer]
    settings = [table.setting(option) for option in range(len(table))]
    if name == "parameter_ratio":
        counts = [setting.parameters(table.shape) for setting in settings]
        return np.array(counts) / tables.shape.full_parameters
    if name == "generation_macs":
        return np.array([float(setting.generation_macs(table.shape)) for setting in settings])
    return np.array([float(setting.execution_macs(table.shape)) for setting in settings])
