"""Search spaces: what Optuna varies, and the layer settings it means."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from mlgsearch.errors import BudgetError, StudyFileError
from mlgsearch.mlg.half_norm import NormBits
from mlgsearch.mlg.input_quantiser import write_in_bits
from mlgsearch.mlg.network import NetworkShape
from mlgsearch.mlg.setting import LayerSetting, LayerShape
from mlgsearch.planning.activation_bits import ActivationPlan
from mlgsearch.planning.network_tables import Tables
from mlgsearch.results.analysis.front import middles_first
from mlgsearch.study.file.hyperparameter import HYPERPARAMETERS, HyperparameterSpec, is_whole
from mlgsearch.study.file.search_spec import FirstTrial
from mlgsearch.study.file.spec import StudySpec
from mlgsearch.study.space.activation_budget import IN_BITS, ActivationBudget
from mlgsearch.study.space.coordinates import Coordinates, Parameters
from mlgsearch.study.space.latency_table import LatencyTable
from mlgsearch.study.space.layer_tables import make_allocator, needs_tables
from mlgsearch.study.space.limits import PEAK_BYTES, Limits
from mlgsearch.study.space.packed_sizes import PackedSizes
from mlgsearch.study.space.searched_layers import SearchedLayers
from mlgsearch.train.spec import QuantisationSpec, TrainSpec


@dataclass(frozen=True)
class Proposal:
    """What a trial trains: canonical settings for every layer, and searched hyperparameters."""

    settings: dict[str, LayerSetting]
    hyperparameters: dict[str, float | int | str]

    def train_spec(self, base: TrainSpec) -> TrainSpec:
        """Merge the hyperparameters into a study's training specification."""
        content = base.model_dump()
        for name, value in self.hyperparameters.items():
            part, key = HYPERPARAMETERS.get(name) or name.split(".")
            content[part][key] = value
        return TrainSpec.model_validate(content)


class Space:
    """The space of one study on one network; see ``SpaceSpec`` for its kinds.

    Args of the constructor:
        spec: the study's specification.
        shape: the network's shape.
        tables: what is predicted of its layers; needed where anything is planned (see
            ``needs_tables``).
        packed: counts packed files and activations; needed where either has a limit.
        activations: chooses bits of activations; needed where the file lists them.

    Raises:
        StudyFileError: a layer pattern matches nothing, a first trial lies outside the space or
            breaks a limit, or no network in range is as small as the budget or keeps the limits.
    """

    def __init__(
        self,
        spec: StudySpec,
        shape: NetworkShape,
        tables: Tables | None = None,
        packed: PackedSizes | None = None,
        activations: ActivationPlan | None = None,
    ):
        self._spec = spec
        #: What counts packed files and activations.
        self.packed = packed
        self._activations: ActivationBudget | None = None
        if spec.space.activation_bits:
            assert activations is not None, "bits of activations are searched, but have no plan"
            self._activations = ActivationBudget(activations, spec.limits.get(PEAK_BYTES))
        self._layers = SearchedLayers.of(spec.space, shape)
        #: What predicts latency, where the study has a table.
        self.latency = None if spec.latency is None else LatencyTable(spec.latency, shape)
        self._limits = Limits(spec.limits, shape, packed, self.latency) if spec.limits else None
        allocator = None
        if needs_tables(spec):
            assert tables is not None, "the study plans, but no tables were made"
            try:
                allocator = make_allocator(spec, tables)
            except BudgetError as error:
                raise StudyFileError(f"limits: {error}") from error
        traits = spec.space.traits
        self._decided = traits.decides & spec.space.hyperparameters.keys()
        self._coordinates: Coordinates = traits.make(
            spec.space, self._layers, allocator, self._keeps
        )
        self.distributions: dict[str, BaseDistribution] = {
            **self._coordinates.distributions,
            **{
                name: _hyperparameter_distribution(name, hyper)
                for name, hyper in spec.space.hyperparameters.items()
                if name not in self._decided
            },
            **({} if self._activations is None else self._activations.distributions),
        }
        #: What was taken over from elsewhere and is left out, a line each.
        self.left_out: list[str] = []
        self.first: list[Parameters] = []
        for i, first in enumerate(spec.search.first):
            if first.source is not None:
                self._take_over(first, first.source)
                continue
            where = f"search.first[{i}]"
            self.first.append(self._encode(first, where))
            self._require_allowed(self.first[-1], where)
        planned = [
            found | self._activation_default()
            for found in middles_first(self._coordinates.planned(spec.planned_trials))
        ]
        self.first += [found for found in map(self.allowed, planned) if found is not None]

    @property
    def layers(self) -> Mapping[str, LayerShape]:
        """The network's layers by name, in the model's order."""
        return self._layers.layers

    @property
    def searched(self) -> tuple[str, ...]:
        """The layers whose settings differ between trials."""
        return self._layers.names

    def decode(self, parameters: Mapping[str, Any]) -> Proposal:
        """Turn coordinates into canonical settings of every layer."""
        hyperparameters = {
            name: parameters[name]
            for name in self._spec.space.hyperparameters
            if name not in self._decided
        }
        if self._decided:
            hyperparameters |= self._coordinates.decided(parameters)
        if self._activations is not None:
            hyperparameters[IN_BITS] = write_in_bits(self._activations.in_bits(parameters))
        return Proposal(self._whole(self._coordinates.decode(parameters)), hyperparameters)

    def _whole(self, settings: Mapping[str, LayerSetting]) -> dict[str, LayerSetting]:
        """Add the layers that are not searched."""
        found = {**self._layers.others(), **settings}
        found |= dict.fromkeys(self._layers.kept, LayerSetting.plain(32))
        return {name: found[name] for name in self.layers}

    def allowed(self, parameters: Parameters) -> Parameters | None:
        """Return a proposal's parameters where it keeps the limits; None where it does not.

        An allocation that does not has its budget lowered until it does.
        """
        found: Parameters | None = parameters
        while found is not None and self._broken(found):
            found = self._coordinates.lowered(found)
        return found

    def _broken(self, parameters: Mapping[str, Any]) -> dict[str, float]:
        """Return what a proposal has of each limit that it breaks.

        A hyperparameter that is not given yet is taken to be the study file's.
        """
        if self._limits is None:
            return {}
        quantisation = self._spec.quantisation.model_dump()
        found = dict(parameters)
        if self._decided:
            found |= self._coordinates.decided(parameters)
        for name in self._spec.space.hyperparameters:
            part, key = HYPERPARAMETERS[name]
            if part == "quantisation" and name in found:
                quantisation[key] = found[name]
        if self._activations is not None:
            quantisation["in_bits"] = self._activations.in_bits(parameters)
        return self._limits.broken(
            self._whole(self._coordinates.decode(parameters)),
            QuantisationSpec.model_validate(quantisation),
        )

    def _keeps(self, settings: Mapping[str, LayerSetting], norm_bits: NormBits) -> bool:
        """Whether settings of the searched layers keep the limits, in the file's quantisation."""
        changed: dict[str, Any] = {"norm_bits": norm_bits}
        if self._activations is not None:
            changed["in_bits"] = self._activations.least
        quantisation = self._spec.quantisation.model_copy(update=changed)
        return self._limits is None or not self._limits.broken(self._whole(settings), quantisation)

    def _require_allowed(self, parameters: Parameters, where: str) -> None:
        for name, value in self._broken(parameters).items():
            raise StudyFileError(
                f"{where}: {name} is {value:,.6g}, above limits.{name}: "
                f"{self._spec.limits[name]:,.6g}"
            )

    def _take_over(self, first: FirstTrial, source: str) -> None:
        """Add a setting from elsewhere, mapped to the layers and ranges that are searched here.

        One that breaks a limit, or is another once more, is left out.

        Raises:
            StudyFileError: none of its layers is searched.
        """
        layers = {name: five for name, five in first.layers.items() if name in self.searched}
        if not layers:
            raise StudyFileError(
                f"search.warm_start: {source}: names none of the layers that are searched: "
                f"{', '.join(self.searched)}"
            )
        hyperparameters = {
            name: value
            for name, value in first.hyperparameters.items()
            if name in self._spec.space.hyperparameters
            and (name in self._decided or _holds(self.distributions[name], value))
        }
        mapped = {"layers": layers, "hyperparameters": hyperparameters}
        given = {n: v for n, v in hyperparameters.items() if n not in self._decided}
        given |= self._activation_default(first.hyperparameters.get(IN_BITS))
        encoded = self._coordinates.encode(first.model_copy(update=mapped), source)
        parameters = given | {
            name: _nearest(self.distributions[name], value) for name, value in encoded.items()
        }
        broken = self._broken(parameters)
        if broken:
            self.left_out.append(f"{source} breaks limits.{', limits.'.join(broken)}: left out")
        elif parameters in self.first:
            self.left_out.append(f"{source} is here what another first setting is: left out")
        else:
            self.first.append(parameters)

    def _activation_default(self, in_bits: float | int | str | None = None) -> Parameters:
        """Return the budget for activations of a first trial: the highest, or near given bits."""
        return {} if self._activations is None else self._activations.budget_of(in_bits)

    def _encode(self, first: FirstTrial, where: str) -> Parameters:
        for name in first.hyperparameters:
            if name not in self._spec.space.hyperparameters:
                raise StudyFileError(
                    f"{where}.hyperparameters.{name}: is not searched; "
                    "list it under space.hyperparameters first"
                )
        given = {n: v for n, v in first.hyperparameters.items() if n not in self._decided}
        given |= self._activation_default()
        parameters = given | self._coordinates.encode(first, where)
        for name, value in parameters.items():
            distribution = self.distributions[name]
            if not _holds(distribution, value):
                raise StudyFileError(
                    f"{where}: {name} = {value} lies outside the space: {_describe(distribution)}"
                )
        return parameters


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


def _nearest(distribution: BaseDistribution, value: Any) -> Any:
    """Return the value in range that is next to one."""
    if isinstance(distribution, IntDistribution | FloatDistribution):
        return min(max(value, distribution.low), distribution.high)
    return value


def _describe(distribution: BaseDistribution) -> str:
    if isinstance(distribution, CategoricalDistribution):
        return f"one of {list(distribution.choices)}"
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    return f"{distribution.low} to {distribution.high}"
