"""What a network may use beside its bits, and what each option of a layer uses of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlgsearch.mlg.network import NetworkShape
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.planning.network_tables import Tables

#: Objectives that are sums over the layers, known before training, and are not bits.
SUMS = ("parameter_ratio", "generation_macs", "execution_macs")


@dataclass(frozen=True)
class LayerSum:
    """Something that layers add up to, as their latency: ``fixed`` is what is no layer's.

    ``use`` returns what a layer, by name, uses at a canonical setting; it may be negative.
    """

    fixed: float
    use: Callable[[str, LayerSetting], float]


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


def resources_of(
    tables: Tables, limits: Mapping[str, float], sums: Mapping[str, LayerSum] | None = None
) -> list[Resource]:
    """Return the limits that are neither of bits nor of the packed file.

    Args:
        tables: the layers' lists.
        limits: the most by objective; others than those of ``SUMS`` and ``sums`` are passed over.
        sums: further objectives that are sums over the layers.
    """
    known = {name: layer_sum(tables.shape, name) for name in SUMS} | dict(sums or {})
    return [
        Resource(
            name,
            limits[name],
            limits[name] - found.fixed,
            {
                layer: np.array(
                    [float(found.use(layer, table.setting(option))) for option in range(len(table))]
                )
                for layer, table in tables.layers.items()
            },
        )
        for name, found in known.items()
        if name in limits
    ]


def layer_sum(shape: NetworkShape, name: str) -> LayerSum:
    """Return the sum over a network's layers that is called so in ``SUMS``, in its own unit."""
    if name == "parameter_ratio":
        full = shape.full_parameters
        return LayerSum(
            (shape.norm_parameters + shape.other_parameters) / full,
            lambda layer, setting: setting.parameters(shape.layers[layer]) / full,
        )
    if name == "generation_macs":
        return LayerSum(0.0, lambda layer, at: at.generation_macs(shape.layers[layer]))
    assert name == "execution_macs", name
    return LayerSum(0.0, lambda layer, at: at.execution_macs(shape.layers[layer]))
