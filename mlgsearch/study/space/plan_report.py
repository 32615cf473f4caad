"""What is known of a study before any training: its planned front, and a plan for a byte budget."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mlgsearch.errors import BudgetError, StudyFileError
from mlgsearch.mlg.half_norm import NormBits
from mlgsearch.mlg.input_quantiser import LayerInBits
from mlgsearch.mlg.network import network_sizes
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.planning.activation_bits import ActivationPlan
from mlgsearch.planning.budget.allocation import Allocation, Allocator
from mlgsearch.planning.budget.byte_budget import within_bytes
from mlgsearch.planning.network_tables import Tables
from mlgsearch.records import PlannedStudent, Sizes
from mlgsearch.study.file.allowed_code import offer_code
from mlgsearch.study.file.spec import StudySpec
from mlgsearch.study.space.activation_table import open_activation_plan
from mlgsearch.study.space.latency_table import LatencyTable
from mlgsearch.study.space.layer_tables import make_allocator, open_tables
from mlgsearch.study.space.limits import PACKED_BYTES, PEAK_BYTES
from mlgsearch.study.space.packed_sizes import PackedSizes
from mlgsearch.study.space.possible_limits import require_possible
from mlgsearch.train.data.images import Images
from mlgsearch.train.device import best_device
from mlgsearch.train.progress import Progress
from mlgsearch.train.spec import QuantisationSpec
from mlgsearch.train.teacher.prepared import prepare

#: Points of the predicted front that is kept with a study.
_POINTS = 24


@dataclass(frozen=True)
class PlannedPoint:
    """A student that is planned: its settings, sizes, and predicted damage.

    ``packed_bytes`` is the exact size of its packed file. ``damage`` is the weighted mean over the
    layers of ``layer_damage``, fractions of a layer's own energy: smaller is better. ``latency_ms``
    is predicted by the study's table, None where it has none. ``peak_activation_bytes`` are the
    most bytes of activations that are alive at once, with inputs of ``in_bits``.
    """

    settings: Mapping[str, LayerSetting]
    norm_bits: NormBits
    sizes: Sizes
    packed_bytes: int
    damage: float
    layer_damage: Mapping[str, float]
    peak_activation_bytes: int
    in_bits: LayerInBits = 32
    latency_ms: float | None = None


def point_fields(point: PlannedPoint) -> dict[str, Any]:
    """Return a planned point as an object that JSON can hold."""
    return {
        "packed_bytes": point.packed_bytes,
        "memory_ratio": point.sizes.memory_ratio,
        "compression": 1 / point.sizes.memory_ratio,
        "damage": point.damage,
        "norm_bits": point.norm_bits,
        "settings": {name: list(setting.five) for name, setting in point.settings.items()},
        "layer_damage": dict(point.layer_damage),
        "latency_ms": point.latency_ms,
        "peak_activation_bytes": point.peak_activation_bytes,
        "in_bits": list(point.in_bits) if isinstance(point.in_bits, tuple) else point.in_bits,
    }


def predicted_front(
    spec: StudySpec, images: Images, tables: Tables, activations: ActivationPlan | None = None
) -> list[PlannedStudent]:
    """Return the planned front for readers of the database, smallest first.

    Empty where no network in range is as small as the budget: the space says so, with its key.
    """
    try:
        points = Plan(spec, images, tables, activations).front(_POINTS)
    except BudgetError:
        return []
    return [PlannedStudent(p.packed_bytes, p.sizes.memory_ratio, p.damage) for p in points]


class Plan:
    """The plans of one study's teacher."""

    def __init__(
        self,
        spec: StudySpec,
        images: Images,
        tables: Tables,
        activations: ActivationPlan | None = None,
    ):
        self.tables = tables
        #: Sentences on what the user should know of the data.
        self.notices = images.notices
        self._spec = spec
        self._packed = PackedSizes(spec.train_spec(), images.classes, images.input_shape)
        self._in_bits = spec.quantisation.in_bits
        if activations is not None:
            most = spec.limits.get(PEAK_BYTES, math.inf)
            chosen = activations.choose(math.floor(min(most, activations.largest)))
            self._in_bits = tuple(chosen.values())
        self._allocator: Allocator = make_allocator(spec, tables)
        self._latency = None if spec.latency is None else LatencyTable(spec.latency, tables.shape)

    @classmethod
    def open(cls, spec: StudySpec, cache: Path, progress: Progress) -> "Plan":
        """Load the data, get the teacher (trained where it is not cached) and its tables.

        Raises:
            UserError: the data or the teacher cannot be used, or a layer pattern matches nothing.
        """
        offer_code(spec)
        train = spec.train_spec()
        prepared = prepare(
            train,
            cache,
            epochs=0,
            device=best_device(),
            progress=progress,
            look_at=partial(require_possible, spec),
        )
        try:
            tables = open_tables(spec, prepared, cache, progress)
        except StudyFileError as error:
            raise StudyFileError(f"study {spec.name!r}: {error}") from error
        packed = PackedSizes(train, prepared.images.classes, prepared.images.input_shape)
        activations = open_activation_plan(spec, prepared, cache, packed, progress)
        return cls(spec, prepared.images, tables, activations)

    def front(self, count: int) -> list[PlannedPoint]:
        """Return the planned front, smallest first.

        It is spread evenly by ratio from the smallest network in range to where next to nothing is
        lost, or over the study file's budget, and ends where a limit is reached.

        Raises:
            BudgetError: no network in range is as small as the study file's budget or limits.
        """
        span = self._spec.space.budget_kb
        bits = None if span is None else (round(8000 * span[0]), round(8000 * span[1]))
        most_bytes = self._spec.limits.get(PACKED_BYTES)
        if most_bytes is not None:
            low, high = bits or self._allocator.useful_span()
            bits = low, min(high, self.within(int(most_bytes)).sizes.bits)
        return [self._point(allocation) for allocation in self._allocator.front(count, bits)]

    def within(self, most_bytes: int) -> PlannedPoint:
        """Return the best plan whose packed file takes at most so many bytes.

        Raises:
            BudgetError: no network in range packs that small.
        """
        return self._point(within_bytes(self._allocator, most_bytes, self._packed_bytes))

    def _point(self, allocation: Allocation) -> PlannedPoint:
        settings = allocation.settings
        quantisation = self._quantisation(allocation)
        return PlannedPoint(
            settings,
            allocation.norm_bits,
            network_sizes(self.tables.shape, settings, allocation.norm_bits),
            self._packed_bytes(allocation),
            allocation.damage,
            self._allocator.layer_damage(settings),
            self._packed.peak_activation_bytes(settings, quantisation),
            self._in_bits,
            None if self._latency is None else self._latency.network_ms(settings),
        )

    def _packed_bytes(self, allocation: Allocation) -> int:
        return self._packed.bytes_of(allocation.settings, self._quantisation(allocation))

    def _quantisation(self, allocation: Allocation) -> QuantisationSpec:
        return self._spec.quantisation.model_copy(
            update={"norm_bits": allocation.norm_bits, "in_bits": self._in_bits}
        )
