"""The tables of a whole network, and how they are kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor, nn

from mlgsearch.mlg.kinds import compressible_layers
from mlgsearch.mlg.network import NetworkShape, normalisation_parameters
from mlgsearch.mlg.quantise import Method
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.planning.answers import OutputKind
from mlgsearch.planning.divergence import Divergence
from mlgsearch.planning.layer.damage import DamageModel
from mlgsearch.planning.layer.grid import Ranges
from mlgsearch.planning.layer.layer_table import LEVELS, LayerTable, fixed_table, layer_table
from mlgsearch.planning.moments import Report, layer_moments

#: Bumped when the same network gets other tables.
FORMAT = 5

_ARRAYS = ("settings", "bits", "damage", "divergence")
_NUMBERS = ("energy", "gradient", "rank_correlation", "checked")


@dataclass(frozen=True, eq=False)
class Tables:
    """Every layer's Pareto list, in the network's order.

    ``norm_damage`` maps the bit widths of normalisation weights and biases to the squared error of
    their rounding as a fraction of their sum of squares.
    """

    shape: NetworkShape
    layers: Mapping[str, LayerTable]
    norm_damage: Mapping[int, float]

    def pack(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return tensors and JSON-able metadata; ``unpack`` reads them back, to the last digit."""
        tensors = {
            f"{name}/{array}": torch.from_numpy(getattr(table, array))
            for name, table in self.layers.items()
            for array in _ARRAYS
        }
        metadata = {
            "shape": self.shape.to_dict(),
            "order": list(self.layers),  # a file may sort the keys of an object
            "layers": {
                name: {number: getattr(table, number) for number in _NUMBERS}
                for name, table in self.layers.items()
            },
            "norm_damage": {str(bits): damage for bits, damage in self.norm_damage.items()},
        }
        return tensors, metadata

    @classmethod
    def unpack(cls, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> Self:
        """Read what ``pack`` gave."""
        stored = metadata["shape"]["layers"]
        in_order = {name: stored[name] for name in metadata["order"]}
        shape = NetworkShape.from_dict({**metadata["shape"], "layers": in_order})
        layers = {
            name: LayerTable(
                layer,
                # Copied: a mapped file's pages are not ours.
                settings=tensors[f"{name}/settings"].numpy().copy(),
                bits=tensors[f"{name}/bits"].numpy().copy(),
                damage=tensors[f"{name}/damage"].numpy().copy(),
                divergence=tensors[f"{name}/divergence"].numpy().copy(),
                **metadata["layers"][name],
            )
            for name, layer in shape.layers.items()
        }
        norm_damage = {int(bits): damage for bits, damage in metadata["norm_damage"].items()}
        return cls(shape, layers, norm_damage)


def build_tables(
    network: nn.Module,
    shape: NetworkShape,
    batches: Sequence[Tensor],
    ranges: Ranges,
    *,
    fixed: Mapping[str, LayerSetting],
    method: Method,
    refine_steps: int,
    check: int,
    seed: int,
    report: Report,
    measures: bool = False,
    outputs: OutputKind = "classes",
) -> Tables:
    """Make the tables of a trained network.

    Args:
        network: the teacher; it is left as it was.
        shape: its shape.
        batches: a calibration batch in parts, normalised images, each (N, C, H, W).
        ranges: what every layer may choose from.
        fixed: layers that have one setting and no choice.
        method: of the quantisation.
        refine_steps: of the projection.
        check: how many settings per layer are projected, to compare with what was predicted.
        seed: draws labels and the settings that are checked.
        report: called with batches and layers done.
        measures: whether the network's divergence is measured layer by layer.
        outputs: what the network returns.
    """
    moments = layer_moments(network, batches, seed=seed, report=report, outputs=outputs)
    modules = compressible_layers(network)
    searched = len(shape.layers) - len(fixed)
    divergence = None
    if measures:
        divergence = Divergence(network, batches, len(LEVELS) * searched, outputs)
    layers: dict[str, LayerTable] = {}
    for done, (name, layer) in enumerate(shape.layers.items()):
        report(done, len(shape.layers), name)
        found = moments[name]
        weight = modules[name].canonical_weight
        model = DamageModel(weight, found.channels, layer, ranges, method, refine_steps)
        if name in fixed:
            layers[name] = fixed_table(model, layer, fixed[name], found.gradient)
        else:
            layers[name] = layer_table(
                model,
                layer,
                ranges,
                found.gradient,
                check=check,
                seed=seed + done,
                divergence_of=None if divergence is None else partial(divergence.at, name),
            )
    report(len(shape.layers), len(shape.layers), "done")
    return Tables(shape, layers, _norm_damage(network))


def _norm_damage(network: nn.Module) -> dict[int, float]:
    parameters = normalisation_parameters(network)
    if not parameters:
        return {16: 0.0, 32: 0.0}
    exact = torch.cat([p.detach().flatten().to("cpu", torch.float64) for p in parameters])
    error = exact.to(torch.float16).to(torch.float64) - exact
    square = float(exact.square().sum())
    return {16: float(error.square().sum()) / square if square else 0.0, 32: 0.0}
