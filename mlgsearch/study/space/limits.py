"""What every proposal must keep, of what is known before training."""

from collections.abc import Callable, Mapping
from functools import partial
from itertools import product

from mlgsearch.errors import StudyFileError
from mlgsearch.mlg.network import NetworkShape, network_sizes
from mlgsearch.mlg.setting import LayerSetting, LayerShape
from mlgsearch.planning.layer.grid import Ranges
from mlgsearch.study.file.spec import LATENCY, StudySpec
from mlgsearch.study.space.latency_table import LatencyTable
from mlgsearch.study.space.layer_tables import choices
from mlgsearch.study.space.packed_sizes import PackedSizes, input_bits
from mlgsearch.train.data.images import Images
from mlgsearch.train.spec import QuantisationSpec

PACKED_BYTES = "packed_bytes"
PEAK_BYTES = "peak_activation_bytes"

#: How many layers a message names.
_NAMED = 3


class Limits:
    """The study file's ``limits``.

    Args of the constructor:
        limits: the most of each objective.
        shape: the network's shape.
        packed: counts packed files and activations; None only where neither ``packed_bytes`` nor
            ``peak_activation_bytes`` has a limit.
        latency: predicts latency; None only where ``latency_ms`` has no limit.
    """

    def __init__(
        self,
        limits: Mapping[str, float],
        shape: NetworkShape,
        packed: PackedSizes | None,
        latency: LatencyTable | None = None,
    ) -> None:
        assert packed is not None or not {PACKED_BYTES, PEAK_BYTES} & limits.keys()
        assert latency is not None or LATENCY not in limits
        self._latency = latency
        self.limits = limits
        self._shape = shape
        self._packed = packed

    def values(
        self, settings: Mapping[str, LayerSetting], quantisation: QuantisationSpec
    ) -> dict[str, float]:
        """Return what a student would have of everything that has a limit."""
        sizes = network_sizes(self._shape, settings, norm_bits=quantisation.norm_bits)
        found: dict[str, float] = {}
        for name in self.limits:
            if name == PACKED_BYTES:
                assert self._packed is not None
                found[name] = self._packed.bytes_of(settings, quantisation)
            elif name == PEAK_BYTES:
                assert self._packed is not None
                found[name] = self._packed.peak_activation_bytes(settings, quantisation)
            elif name == LATENCY:
                assert self._latency is not None
                found[name] = self._latency.network_ms(settings)
            else:
                found[name] = getattr(sizes, name)
        return found

    def broken(
        self, settings: Mapping[str, LayerSetting], quantisation: QuantisationSpec
    ) -> dict[str, float]:
        """Return what of `values` is above its limit."""
        found = self.values(settings, quantisation)
        return {name: value for name, value in found.items() if value > self.limits[name]}


def require_possible(spec: StudySpec, shape: NetworkShape, images: Images) -> None:
    """See that some network in range may keep each limit, before anything is trained.

    Raises:
        StudyFileError: none keeps one of them; the message says how small one can be, and which
            layers bind. Or the table of latency is not of this network.
    """
    latency = None if spec.latency is None else LatencyTable(spec.latency, shape)
    packed = PackedSizes(spec.train_spec(), images.classes, images.input_shape)
    limits = Limits(spec.limits, shape, packed, latency)
    ranges, fixed = choices(spec.space, shape)
    widths = spec.space.hyperparameters.get("quantisation.norm_bits")
    least_norm = min((spec.quantisation.norm_bits, *((widths and widths.choices) or ())))
    in_bits = min(spec.space.activation_bits, default=spec.quantisation.in_bits)
    quantisation = QuantisationSpec.model_validate(
        {**spec.quantisation.model_dump(), "norm_bits": least_norm, "in_bits": in_bits}
    )
    for name, most in spec.limits.items():
        use = _use_of(name, shape, latency)
        smallest = {
            layer: fixed.get(layer)
            or _smallest(ranges, known, partial(use, layer), tries_all=name == LATENCY)
            for layer, known in shape.layers.items()
        }
        least = limits.values(smallest, quantisation)[name]
        if least > most:
            by_layer = {layer: use(layer, smallest[layer]) for layer in shape.layers}
            binding = sorted(by_layer, key=lambda layer: -by_layer[layer])
            if name == PEAK_BYTES:
                binding = packed.activations.binding(input_bits(smallest, quantisation))
            raise StudyFileError(
                f"limits.{name}: {most:,.6g} cannot be kept: the smallest network in range has "
                f"{least:,.6g}; the layers that bind are {', '.join(binding[:_NAMED])}"
            )


_USES: Mapping[str, Callable[[LayerSetting, LayerShape], int]] = {
    "parameter_ratio": LayerSetting.parameters,
    "generation_macs": LayerSetting.generation_macs,
    "execution_macs": LayerSetting.execution_macs,
}


def _use_of(
    name: str, shape: NetworkShape, latency: LatencyTable | None
) -> Callable[[str, LayerSetting], float]:
    """Return what a layer, by name, uses at a setting of something that has a limit."""
    if name == LATENCY:
        assert latency is not None
        return latency.layer_ms
    use = _USES.get(name, LayerSetting.bits)
    return lambda layer, setting: use(setting, shape.layers[layer])


def _smallest(
    ranges: Ranges, shape: LayerShape, use: Callable[[LayerSetting], float], *, tries_all: bool
) -> LayerSetting:
    """Return a layer's setting in range that uses least.

    Without ``tries_all`` that is one of the fewest bases: use never falls with them, or with bits.
    """
    few = None if tries_all else 2
    found = [
        LayerSetting(
            base_in,
            base_out,
            ranges.q_basis[0],
            ranges.q_coeff_in[0] if base_in else 0,
            ranges.q_coeff_out[0] if base_out else 0,
        ).canonical(shape)
        for base_in, base_out in product(
            ranges.bases(ranges.base_in, shape.level1_bound)[:few],
            ranges.bases(ranges.base_out, shape.level2_bound)[:few],
        )
    ]
    return min(found, key=use)
