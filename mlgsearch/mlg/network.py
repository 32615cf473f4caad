"""The shape of a whole network, and what its layers' settings cost together."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from typing import Any, Self

import torch
from torch import nn

from mlgsearch.errors import SettingError
from mlgsearch.mlg.byte_norm import StoredNormBits
from mlgsearch.mlg.half_norm import can_be_half
from mlgsearch.mlg.kinds import Layer, compressible_layers, kind_of, tensors_of
from mlgsearch.mlg.running.eval_mode import in_eval_mode
from mlgsearch.mlg.running.hooks import hooked
from mlgsearch.mlg.setting import LayerSetting, LayerShape
from mlgsearch.records import Sizes

#: Normalisation layers whose weight and bias are counted.
NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)

#: The share of the parameters from which `NetworkShape.uncompressed` speaks, and how many modules
#: it names.
_WORTH_A_WORD = 0.01
_NAMED = 3


@dataclass(frozen=True)
class NetworkShape:
    """Every layer that can be compressed, by its name in the model, in the model's order.

    ``norm_parameters`` is the count of normalisation weights and biases;
    ``half_norm_parameters`` of them belong to batch-norms that can be stored at 16 bits, the others
    stay at 32. ``others`` counts by module all further parameters, which nothing compresses:
    biases, position embeddings, and so on. ``head`` is the linear layer that gives the logits,
    without a word the last one; None where there is none.
    """

    layers: Mapping[str, LayerShape]
    norm_parameters: int = 0
    half_norm_parameters: int = 0
    others: Mapping[str, int] = field(default_factory=dict)
    head: str | None = None

    def __post_init__(self) -> None:
        if self.head is None:
            linear = [name for name, layer in self.layers.items() if layer.kind == "linear"]
            object.__setattr__(self, "head", linear[-1] if linear else None)

    @property
    def full_parameters(self) -> int:
        """All parameters of the uncompressed network."""
        weights = sum(s.weight_numel for s in self.layers.values())
        return weights + self.norm_parameters + self.other_parameters

    @property
    def other_parameters(self) -> int:
        """How many are neither a layer's weight nor a normalisation's: stored at 32 bits."""
        return sum(self.others.values())

    def uncompressed(self) -> str | None:
        """Describe the share of the network that stays uncompressed; None where it is small.

        Normalisation is not counted. Small is a share of less than ``_WORTH_A_WORD``.
        """
        share = self.other_parameters / self.full_parameters if self.full_parameters else 0.0
        if share < _WORTH_A_WORD:
            return None
        largest = sorted(self.others, key=lambda name: -self.others[name])
        named = ", ".join(f"{name or 'the network itself'}" for name in largest[:_NAMED])
        more = f" and {len(largest) - _NAMED} more" if len(largest) > _NAMED else ""
        return (
            f"{share:.1%} of this network's parameters are not compressed and stay at 32 bits, "
            f"most of them in {named}{more}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able form; ``from_dict`` reads it back."""
        return {
            "layers": {name: shape.to_dict() for name, shape in self.layers.items()},
            "norm_parameters": self.norm_parameters,
            "half_norm_parameters": self.half_norm_parameters,
            "others": dict(self.others),
            "head": self.head,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Read what ``to_dict`` wrote.

        Raises:
            SettingError: a field is unknown, missing or malformed.
        """
        expected = {field.name for field in fields(cls)}
        if set(content) != expected:
            raise SettingError(
                f"network shape: expected the fields {sorted(expected)}, got {sorted(content)}"
            )
        layers = {name: LayerShape.from_dict(shape) for name, shape in content["layers"].items()}
        return cls(
            layers,
            content["norm_parameters"],
            content["half_norm_parameters"],
            content["others"],
            content["head"],
        )


def normalisation_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Return the weights and biases of every normalisation layer, in the model's order."""
    return [
        parameter
        for module in model.modules()
        if isinstance(module, NORMS)
        for parameter in module.parameters(recurse=False)
    ]


def network_shape(model: nn.Module, input_shape: tuple[int, int, int]) -> NetworkShape:
    """Read a model's shape from one forward pass of one zero sample of shape (C, H, W).

    The pass runs without gradients in eval mode, on the model's own device (``meta`` is the
    cheapest) and dtype; every module's mode is as before afterwards. A layer that is called more
    than once counts all its positions; one that eval mode does not reach has none. The linear layer
    that is called last is the head.
    """
    layers = compressible_layers(model)
    traffic = _traffic(model, layers, input_shape)
    shapes = {
        name: replace(layer.shape, out_positions=out, in_positions=into)
        for (name, layer), (into, out) in zip(layers.items(), traffic.counts, strict=True)
    }
    norm_parameters = sum(p.numel() for p in normalisation_parameters(model))
    half_norm_parameters = sum(
        parameter.numel()
        for module in model.modules()
        if can_be_half(module)
        for parameter in module.parameters(recurse=False)
    )
    return NetworkShape(
        shapes, norm_parameters, half_norm_parameters, _other_parameters(model), traffic.head
    )


@dataclass(frozen=True)
class _Counted:
    """Positions in and out by layer, in order, and the linear layer that was called last."""

    counts: list[list[int]]
    head: str | None


def _traffic(
    model: nn.Module, layers: Mapping[str, Layer], input_shape: tuple[int, int, int]
) -> _Counted:
    places = {
        (place, parameter): name
        for name, layer in layers.items()
        for place, parameter in ((layer.module, layer.parameter), *layer.tied)
    }
    positions = {name: [0, 0] for name in layers}
    called: list[str] = []

    def count(module: nn.Module, args: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
        kind = kind_of(module)
        assert kind is not None
        inputs = list(tensors_of(*args, *named.values()))
        result = next(tensors_of(output))
        for path, numbers in kind.traffic(module, inputs, result).items():
            child, _, parameter = path.rpartition(".")
            name = places.get((module.get_submodule(child), parameter))
            if name is not None:
                for at, number in enumerate(numbers):
                    positions[name][at] += number
                if layers[name].shape.kind == "linear":
                    called.append(name)

    sample = next(model.parameters(), torch.empty(0))
    modules = dict.fromkeys(place for place, _ in places)
    with hooked(modules, count, with_kwargs=True), in_eval_mode(model), torch.no_grad():
        model(torch.zeros(1, *input_shape, device=sample.device, dtype=sample.dtype))
    return _Counted(list(positions.values()), called[-1] if called else None)


def _other_parameters(model: nn.Module) -> dict[str, int]:
    """Count by module what is neither a compressible layer's weight nor a normalisation's number.

    A parameter that several modules share counts for the first.
    """
    counted = {id(parameter) for parameter in normalisation_parameters(model)}
    counted |= {id(layer.weight) for layer in compressible_layers(model).values()}
    others: dict[str, int] = {}
    for name, module in model.named_modules():
        for parameter in module.parameters(recurse=False):
            if id(parameter) not in counted:
                counted.add(id(parameter))
                others[name] = others.get(name, 0) + parameter.numel()
    return others


def require_same_names(names: Collection[str], known: Collection[str]) -> None:
    """Check that settings name exactly the layers of a network.

    Raises:
        SettingError: a name is unknown (the nearest is named), or a layer has no setting.
    """
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=1, cutoff=0.0)
            hint = f", did you mean {near[0]!r}?" if near else ": the network has no layer"
            raise SettingError(f"no layer is called {name!r}{hint}")
    missing = [name for name in known if name not in names]
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise SettingError(f"layer {missing[0]!r}{more} has no setting")


def network_sizes(
    shape: NetworkShape, settings: Mapping[str, LayerSetting], norm_bits: StoredNormBits = 32
) -> Sizes:
    """Count what a student costs, before any training.

    Bits are those of the factors plus 32 for each normalisation number (``norm_bits`` for one of a
    batch-norm) and for each parameter that nothing compresses; quantisers' scales are not counted.
    Ratios are against all parameters of the uncompressed network at 32 bits (smaller is better).
    Settings need not be canonical. The paper counts so too, but for biases, which its networks do
    not have.

    Raises:
        SettingError: a layer has no setting, or a setting names no layer.
    """
    require_same_names(settings.keys(), shape.layers.keys())
    parameters = shape.norm_parameters + shape.other_parameters
    bits = 32 * parameters - (32 - norm_bits) * shape.half_norm_parameters
    generation_macs = execution_macs = 0
    for name, layer in shape.layers.items():
        try:
            setting = settings[name].canonical(layer)
        except SettingError as error:
            raise SettingError(f"layer {name!r}: {error}") from error
        parameters += setting.parameters(layer)
        bits += setting.bits(layer)
        generation_macs += setting.generation_macs(layer)
        execution_macs += setting.execution_macs(layer)
    full = shape.full_parameters
    return Sizes(
        parameters=parameters,
        bits=bits,
        parameter_ratio=parameters / full if full else 1.0,
        memory_ratio=bits / (32 * full) if full else 1.0,
        generation_macs=generation_macs,
        execution_macs=execution_macs,
    )
