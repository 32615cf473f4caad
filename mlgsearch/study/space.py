"""Search spaces: what Optuna varies, and the layer settings it means."""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from mlgsearch.errors import StudyFileError
from mlgsearch.mlg.network import NetworkShape
from mlgsearch.mlg.setting import LayerSetting, LayerShape
from mlgsearch.mlg.uniform import uniform_settings
from mlgsearch.study.hyperparameter import HYPERPARAMETERS, HyperparameterSpec, is_whole
from mlgsearch.study.spec import FirstTrial, StudySpec
from mlgsearch.train.spec import TrainSpec

#: The paper's order, which is also the order in a study file and in a record.
NUMBERS = ("B_in", "B_out", "q_basis", "q_coeff_in", "q_coeff_out")

#: One proposal's values by the names that Optuna and its tools show.
Parameters = dict[str, Any]


@dataclass(frozen=True)
class Proposal:
    """What a trial trains: canonical settings for every layer, and searched hyperparameters."""

    settings: dict[str, LayerSetting]
    hyperparameters: dict[str, float | int | str]

    def train_spec(self, base: TrainSpec) -> TrainSpec:
        """Merge the hyperparameters into a study's training specification."""
        content = base.model_dump()
        for name, value in self.hyperparameters.items():
            part, key = HYPERPARAMETERS[name]
            content[part][key] = value
        return TrainSpec.model_validate(content)


class Space:
    """The space of one study on one network; its two kinds are `uniform` and `layerwise`.

    In a layerwise space a parameter is called ``<layer>/B_in`` and so on; where a layer can have
    no such level, its parameters do not exist. A base at a layer's bound means that the level is
    absent, so every canonical setting in range has coordinates.

    Raises:
        StudyFileError: a layer pattern matches nothing, or a first trial lies outside the space.
    """

    def __init__(self, spec: StudySpec, shape: NetworkShape):
        self._spec = spec
        self._shape = shape
        self._ranges = {name: getattr(spec.space, name) for name in NUMBERS}
        self._kept = self._full_precision_layers()
        self._head_bits = None if spec.space.head_bits == "search" else spec.space.head_bits
        self._searched = [
            name
            for name, layer in shape.layers.items()
            if name not in self._kept and (layer.kind == "conv" or spec.space.head_bits == "search")
        ]
        self.distributions: dict[str, BaseDistribution] = {
            **self._setting_distributions(),
            **{
                name: _hyperparameter_distribution(name, hyper)
                for name, hyper in spec.space.hyperparameters.items()
            },
        }
        self.first = [
            self._encode(first, f"search.first[{i}]") for i, first in enumerate(spec.search.first)
        ]

    @property
    def layers(self) -> Mapping[str, LayerShape]:
        """The network's layers by name, in the model's order."""
        return self._shape.layers

    def decode(self, parameters: Mapping[str, Any]) -> Proposal:
        """Turn coordinates into canonical settings of every layer."""
        hyperparameters = {name: parameters[name] for name in self._spec.space.hyperparameters}
        if self._spec.space.kind == "uniform":
            five = LayerSetting(*(parameters[name] for name in NUMBERS)).five
            settings = uniform_settings(self._shape, five, head_bits=self._head_bits)
        else:
            settings = uniform_settings(self._shape, (0, 0, 8, 8, 8), head_bits=self._head_bits)
            for layer in self._searched:
                numbers = {n: parameters.get(f"{layer}/{n}", 0) for n in NUMBERS}
                settings[layer] = LayerSetting(*numbers.values()).canonical(self.layers[layer])
        settings.update(dict.fromkeys(self._kept, LayerSetting.plain(32)))
        return Proposal(settings, hyperparameters)

    def _full_precision_layers(self) -> list[str]:
        kept = []
        for pattern in self._spec.space.full_precision:
            matched = [name for name in self.layers if fnmatchcase(name, pattern)]
            if not matched:
                raise StudyFileError(
                    f"space.full_precision: {pattern!r} matches no layer; "
                    f"the layers are {', '.join(self.layers)}"
                )
            kept += matched
        return kept

    def _setting_distributions(self) -> dict[str, BaseDistribution]:
        if self._spec.space.kind == "uniform":
            return {name: _whole(name, *self._ranges[name]) for name in NUMBERS}
        distributions: dict[str, BaseDistribution] = {}
        for layer in self._searched:
            for name in self._numbers_of(layer):
                low, high = self._limits(layer, name)
                distributions[f"{layer}/{name}"] = _whole(name, low, high)
        return distributions

    def _numbers_of(self, layer: str) -> list[str]:
        """Name the numbers that can mean something on a layer."""
        shape = self.layers[layer]
        absent = set()
        if shape.level1_bound <= 1:
            absent |= {"B_in", "q_coeff_in"}
        if shape.level2_bound <= 1:
            absent |= {"B_out", "q_coeff_out"}
        return [name for name in NUMBERS if name not in absent]

    def _limits(self, layer: str, number: str) -> tuple[int, int]:
        """Give the lowest and highest value of a layer's number; a bound means an absent level."""
        low, high = self._ranges[number]
        if number in ("B_in", "B_out"):
            shape = self.layers[layer]
            bound = shape.level1_bound if number == "B_in" else shape.level2_bound
            low, high = min(low, bound), min(high, bound)
        return low, high

    def _encode(self, first: FirstTrial, where: str) -> Parameters:
        unknown = [name for name in first.layers if name not in self._searched]
        if unknown:
            raise StudyFileError(
                f"{where}.layers.{unknown[0]}: is not searched; "
                f"searched are {', '.join(self._searched)}"
            )
        unknown = [n for n in first.hyperparameters if n not in self._spec.space.hyperparameters]
        if unknown:
            raise StudyFileError(
                f"{where}.hyperparameters.{unknown[0]}: is not searched; "
                "list it under space.hyperparameters first"
            )
        parameters: Parameters = dict(first.hyperparameters)
        if self._spec.space.kind == "uniform":
            if first.layers:
                raise StudyFileError(f"{where}.layers: needs space.kind: layerwise")
            parameters.update(zip(NUMBERS, first.setting, strict=True))
        else:
            uniform = uniform_settings(self._shape, LayerSetting(*first.setting).five)
            for layer in self._searched:
                five = first.layers.get(layer, first.setting)
                if layer not in first.layers and self.layers[layer].kind == "conv":
                    meant = uniform[layer]
                    if LayerSetting(*five).canonical(self.layers[layer]) != meant:
                        five = meant.five  # the paper's own rule for 1x1 layers
                parameters |= self._encode_layer(layer, five)
        for name, value in parameters.items():
            distribution = self.distributions[name]
            if not _holds(distribution, value):
                raise StudyFileError(
                    f"{where}: {name} = {value} lies outside the space: {_describe(distribution)}"
                )
        return parameters

    def _encode_layer(self, layer: str, five: tuple[int, ...]) -> Parameters:
        shape = self.layers[layer]
        bounds = {"B_in": shape.level1_bound, "B_out": shape.level2_bound}
        parameters = {}
        for name, value in zip(NUMBERS, five, strict=True):
            if name not in self._numbers_of(layer):
                continue
            if name in bounds:
                # 0 and everything from the bound on ask for no level.
                value = min(value or bounds[name], bounds[name])
            elif value == 0:
                value = self._limits(layer, name)[1]  # bits of a level that is absent
            parameters[f"{layer}/{name}"] = value
        return parameters


def _whole(number: str, low: int, high: int) -> IntDistribution:
    # Ranks act by ratio: 4 to 8 bases is as large a step as 32 to 64.
    return IntDistribution(low, high, log=number == "B_out")


def _hyperparameter_distribution(name: str, given: HyperparameterSpec) -> BaseDistribution:
    if given.choices is not None:
        return CategoricalDistribution(given.choices)
    assert given.low is not None
    assert given.high is not None
    if is_whole(name):
        return IntDistribution(int(given.low), int(given.high), log=given.log)
    return FloatDistribution(given.low, given.high, log=given.log)


def _holds(distribution: BaseDistribution, value: Any) -> bool:
    try:
        return distribution._contains(distribution.to_internal_repr(value))
    except ValueError:  # no number, or none of the choices
        return False


def _describe(distribution: BaseDistribution) -> str:
    if isinstance(distribution, CategoricalDistribution):
        return f"one of {list(distribution.choices)}"
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    return f"{distribution.low} to {distribution.high}"
