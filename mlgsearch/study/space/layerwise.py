"""The layerwise space: five numbers for every layer."""

from collections.abc import Mapping
from itertools import product
from typing import Any

from optuna.distributions import BaseDistribution

from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.mlg.uniform import uniform_settings
from mlgsearch.planning.budget.allocation import HOPELESS, UNHARMED, Allocator
from mlgsearch.records import FIVE_NAMES
from mlgsearch.study.file.search_spec import FirstTrial
from mlgsearch.study.file.space_spec import SpaceSpec
from mlgsearch.study.space.coordinates import Coordinates, Keeps, Parameters
from mlgsearch.study.space.searched_layers import SearchedLayers
from mlgsearch.study.space.uniform import whole


class LayerwiseCoordinates(Coordinates):
    """A parameter is called ``<layer>/B_in`` and so on.

    Where a layer can have no such level, its parameters do not exist. A base at a layer's bound
    means that the level is absent, so every canonical setting in range has coordinates.
    """

    def __init__(
        self, space: SpaceSpec, layers: SearchedLayers, allocator: Allocator | None, _keeps: Keeps
    ):
        self._ranges = {name: getattr(space, name) for name in FIVE_NAMES}
        self._layers = layers
        self._allocator = allocator
        self.distributions: dict[str, BaseDistribution] = {
            f"{layer}/{name}": whole(name, *self._limits(layer, name))
            for layer in layers.names
            for name in self._numbers_of(layer)
        }

    def decode(self, parameters: Mapping[str, Any]) -> dict[str, LayerSetting]:
        """Return every searched layer's canonical setting."""
        settings = {}
        for layer in self._layers.names:
            numbers = {n: parameters.get(f"{layer}/{n}", 0) for n in FIVE_NAMES}
            canonical = LayerSetting(*numbers.values()).canonical(self._layers.layers[layer])
            settings[layer] = canonical
        return settings

    def encode(self, first: FirstTrial, where: str) -> Parameters:
        """Return every searched layer's numbers, those of single layers replaced.

        Raises:
            StudyFileError: a layer that is not searched has a setting of its own.
        """
        self._layers.require_searched(first, where)
        parameters: Parameters = {}
        uniform = uniform_settings(self._layers.shape, LayerSetting(*first.setting).five)
        for layer in self._layers.names:
            five = first.layers.get(layer, first.setting)
            shape = self._layers.layers[layer]
            if layer not in first.layers and layer != self._layers.shape.head:
                meant = uniform[layer]
                if LayerSetting(*five).canonical(shape) != meant:
                    five = meant.five  # the paper's own rule for 1x1 layers
            if LayerSetting(*five).is_plain:
                # As trials are written down, also where no bases in range leave out a level.
                five = self._in_range(layer, LayerSetting(*five).canonical(shape)).five
            parameters |= self._encode_layer(layer, five)
        return parameters

    def planned(self, count: int) -> list[Parameters]:
        """Return the numbers of the planned front, within their ranges."""
        if not count:
            return []
        assert self._allocator is not None
        points = []
        span = self._allocator.bits_at(HOPELESS), self._allocator.bits_at(UNHARMED)
        for allocation in self._allocator.front(count, span):
            meant = {layer: allocation.settings[layer] for layer in self._layers.names}
            parameters: Parameters = {}
            for layer, setting in meant.items():
                parameters |= self._encode_layer(layer, self._in_range(layer, setting).five)
            assert self.decode(parameters) == meant
            points.append(parameters)
        return points

    def _numbers_of(self, layer: str) -> list[str]:
        """Name the numbers that can mean something on a layer."""
        shape = self._layers.layers[layer]
        absent = set()
        if shape.level1_bound <= 1:
            absent |= {"B_in", "q_coeff_in"}
        if shape.level2_bound <= 1:
            absent |= {"B_out", "q_coeff_out"}
        return [name for name in FIVE_NAMES if name not in absent]

    def _limits(self, layer: str, number: str) -> tuple[int, int]:
        """Return the least and greatest value of a number; a bound means an absent level."""
        low, high = self._ranges[number]
        if number in ("B_in", "B_out"):
            shape = self._layers.layers[layer]
            bound = shape.level1_bound if number == "B_in" else shape.level2_bound
            low, high = min(low, bound), min(high, bound)
        return low, high

    def _in_range(self, layer: str, setting: LayerSetting) -> LayerSetting:
        """Return a setting in range whose canonical form this is, or itself where there is none.

        A plain weight may replace factors that cost as much, where both levels must exist.
        """
        parameters = self._encode_layer(layer, setting.five)
        if not setting.is_plain or all(
            value <= self._limits(layer, name.rpartition("/")[2])[1]
            for name, value in parameters.items()
        ):
            return setting
        most = [self._limits(layer, name)[1] for name in ("q_coeff_in", "q_coeff_out")]
        spans = (self._limits(layer, name) for name in ("B_in", "B_out"))
        candidates = (
            LayerSetting(base_in, base_out, setting.q_basis, *most)
            for base_in, base_out in product(*(range(low, high + 1) for low, high in spans))
        )
        shape = self._layers.layers[layer]
        return next((found for found in candidates if found.canonical(shape) == setting), setting)

    def _encode_layer(self, layer: str, five: tuple[int, ...]) -> Parameters:
        shape = self._layers.layers[layer]
        bounds = {"B_in": shape.level1_bound, "B_out": shape.level2_bound}
        parameters = {}
        for name, value in zip(FIVE_NAMES, five, strict=True):
            if name not in self._numbers_of(layer):
                continue
            if name in bounds:
                # 0 and everything from the bound on ask for no level.
                value = min(value or bounds[name], bounds[name])
            elif value == 0:
                value = self._limits(layer, name)[1]  # bits of a level that is absent
            parameters[f"{layer}/{name}"] = value
        return parameters
