"""Whether anything in range keeps a study's limits, known before anything is trained."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import product

import numpy as np

from mlgsearch.errors import StudyFileError
from mlgsearch.mlg.network import NetworkShape
from mlgsearch.mlg.setting import LayerSetting, LayerShape
from mlgsearch.planning.activation_bits import binding_layers
from mlgsearch.planning.budget.relaxation import least_within
from mlgsearch.planning.budget.resources import SUMS, layer_sum
from mlgsearch.planning.layer.grid import Ranges
from mlgsearch.study.file.hyperparameter import NORM_BITS
from mlgsearch.study.file.spec import LATENCY, StudySpec
from mlgsearch.study.space.latency_table import LatencyTable
from mlgsearch.study.space.layer_tables import choices
from mlgsearch.study.space.limits import PACKED_BYTES, PEAK_BYTES, Limits
from mlgsearch.study.space.packed_sizes import PackedSizes, input_bits
from mlgsearch.train.data.images import Images
from mlgsearch.train.spec import QuantisationSpec

#: What a layer, by name, uses at a setting.
Use = Callable[[str, LayerSetting], float]


def require_possible(spec: StudySpec, shape: NetworkShape, images: Images) -> None:
    """See that networks in range may keep each limit, and all together as far as layers add up.

    Raises:
        StudyFileError: none keeps one of them, or some of them together; the message says how small
            one can be, and which layers bind. Or the table of latency is not of this network.
    """
    reach = _Reach(spec, shape, images)
    least = {name: reach.require(name) for name in spec.limits}
    # Activations have bits of their own: whatever the weights are, their peak stays in reach.
    reach.require_together({name: value for name, value in least.items() if name != PEAK_BYTES})


class _Reach:
    """The smallest networks in range of a study."""

    def __init__(self, spec: StudySpec, shape: NetworkShape, images: Images) -> None:
        self._shape = shape
        self._latency = None if spec.latency is None else LatencyTable(spec.latency, shape)
        self._packed = PackedSizes(spec.train_spec(), images.classes, images.input_shape)
        self._limits = Limits(spec.limits, shape, self._packed, self._latency)
        widths = spec.space.hyperparameters.get(NORM_BITS)
        self._quantisation = QuantisationSpec.model_validate(
            {
                **spec.quantisation.model_dump(),
                "norm_bits": min(
                    (spec.quantisation.norm_bits, *((widths and widths.choices) or ()))
                ),
                "in_bits": min(spec.space.activation_bits, default=spec.quantisation.in_bits),
            }
        )
        ranges, fixed = choices(spec.space, shape)
        tries_all = LATENCY in spec.limits
        self._options: Mapping[str, Sequence[LayerSetting]] = {
            layer: [fixed[layer]]
            if layer in fixed
            else _smallest_settings(ranges, known, tries_all=tries_all)
            for layer, known in shape.layers.items()
        }

    def require(self, name: str) -> dict[str, LayerSetting]:
        """Return each layer's setting that uses least of something that has a limit.

        Raises:
            StudyFileError: together they are above it.
        """
        use, most = self._use_of(name), self._limits.limits[name]
        smallest = {
            layer: min(options, key=partial(use, layer)) for layer, options in self._options.items()
        }
        least = self._limits.values(smallest, self._quantisation)[name]
        if least > most:
            binding = _largest({layer: use(layer, at) for layer, at in smallest.items()})
            if name == PEAK_BYTES:
                binding = self._packed.activations.binding(input_bits(smallest, self._quantisation))
            raise StudyFileError(
                f"limits.{name}: {most:,.6g} cannot be kept: the smallest network in range has "
                f"{least:,.6g}; {binding_layers(binding)}"
            )
        return smallest

    def require_together(self, smallest: Mapping[str, Mapping[str, LayerSetting]]) -> None:
        """See that limits are not at odds with each other.

        Args:
            smallest: by limit, what `require` returned.

        Raises:
            StudyFileError: they are, even where a layer may be a mixture of its settings.
        """
        if len(smallest) < 2:
            return
        names = list(smallest)
        uses = {
            layer: np.array([[self._use_of(name)(layer, at) for name in names] for at in options])
            for layer, options in self._options.items()
        }
        fixed = np.array([self._fixed(name, smallest[name]) for name in names])
        room = np.array([self._limits.limits[name] for name in names]) - fixed
        for which, name in enumerate(names):
            found = least_within(uses, room, which)
            if found is None or found.least <= room[which] * (1 + 1e-6):
                continue
            others = " and ".join(
                f"limits.{other}: {self._limits.limits[other]:,.6g}"
                for other in names
                if other != name
            )
            raise StudyFileError(
                f"limits.{name}: {self._limits.limits[name]:,.6g} cannot be kept together with "
                f"{others}: the smallest network in range has about "
                f"{found.least + fixed[which]:,.6g}; {binding_layers(_largest(found.by_layer))}"
            )

    def _fixed(self, name: str, smallest: Mapping[str, LayerSetting]) -> float:
        """Return what of a limit no layer's setting changes."""
        whole = self._limits.values(smallest, self._quantisation)[name]
        return whole - sum(self._use_of(name)(layer, at) for layer, at in smallest.items())

    def _use_of(self, name: str) -> Use:
        """Return what a layer uses of something that has a limit, in that limit's unit.

        Of the packed file that is a bound: a layer may use some bytes more.
        """
        if name == LATENCY:
            assert self._latency is not None
            return self._latency.layer_ms
        if name in SUMS:
            return layer_sum(self._shape, name).use
        layers, full = self._shape.layers, self._shape.full_parameters
        per_bit = 1 / 8 if name == PACKED_BYTES else 1 / (32 * full)
        return lambda layer, setting: setting.bits(layers[layer]) * per_bit


def _largest(by_layer: Mapping[str, float]) -> list[str]:
    return sorted(by_layer, key=lambda layer: -by_layer[layer])


def _smallest_settings(
    ranges: Ranges, shape: LayerShape, *, tries_all: bool
) -> Sequence[LayerSetting]:
    """Return a layer's settings in range of which one uses least, whatever is used.

    Nothing falls with bits. Without ``tries_all`` nothing falls with bases either, so the fewest
    are enough; what a layer's latency does with them only its table knows.
    """
    few = None if tries_all else 2
    return [
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
