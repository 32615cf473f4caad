"""What is worth trying on a trained network, known before any training."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mlgsearch.api.compressing import card_of, check_architecture, check_model, student_network
from mlgsearch.api.plan import Plan
from mlgsearch.api.words import Section, study_spec
from mlgsearch.errors import BudgetError, UserError
from mlgsearch.mlg.activations import trace_activations
from mlgsearch.mlg.input_quantiser import InBits
from mlgsearch.mlg.network import network_shape, network_sizes
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.planning.activation_bits import ActivationPlan, binding_layers
from mlgsearch.planning.answers import ANSWERS, OutputKind
from mlgsearch.planning.budget.allocation import Allocation
from mlgsearch.planning.budget.byte_budget import within_bytes
from mlgsearch.planning.input_noise import input_noise
from mlgsearch.planning.network_tables import Tables, build_tables
from mlgsearch.planning.weighting import MEASURED
from mlgsearch.study.file.spec import StudySpec
from mlgsearch.study.space.layer_tables import CALIBRATION_IMAGES, choices, make_allocator
from mlgsearch.study.space.limits import PACKED_BYTES, PEAK_BYTES
from mlgsearch.study.space.packed_sizes import input_bits
from mlgsearch.train.device import memory_format
from mlgsearch.train.files.packed_file import packed_size
from mlgsearch.train.light_torch import without_compiler

#: Calibration images that run through the network at once.
_BATCH = 64


class Planner:
    """The plans of one trained network; the layers are looked at once, which takes seconds.

    Args:
        model: as for `compress`; it stays as it is.
        calibration: images as the model takes them: a tensor (N, C, H, W), or batches of them,
            alone or first in a tuple, as a ``DataLoader`` yields. The first 256 are used.
        outputs: what the model returns: ``classes`` (logits, (N, classes) or (N, classes, ...)) or
            ``values`` (a regression's numbers, in comparable units).
        space: keys of a study file's ``space``: ranges, ``full_precision``, ``weighting``,
            ``activation_bits``; of these each layer's inputs get those that make the least noise
            within ``limits``' ``peak_activation_bytes``.
        quantisation: keys of a study file's ``quantisation``.
        limits: the most that a student may be, by objective, as a study file's ``limits``.
        architecture: as for `compress`; it is part of the files, and so of their bytes.
        mean: as for `compress`, likewise.
        std: as for `compress`, likewise.

    Raises:
        UserError: an argument is wrong, or the model does not take the images.
        BudgetError: no network in range keeps the limits.
    """

    def __init__(
        self,
        model: nn.Module,
        calibration: Tensor | Iterable[Any],
        *,
        outputs: OutputKind = "classes",
        space: Section | None = None,
        quantisation: Section | None = None,
        limits: Mapping[str, float] | None = None,
        architecture: str | Section | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        if outputs not in ANSWERS:
            raise UserError(f"outputs is {outputs!r}, expected one of {', '.join(ANSWERS)}")
        spec = study_spec("plan", space=space, quantisation=quantisation, limits=limits)
        if spec.space.kind != "allocation":
            raise UserError("plan: space.kind: only allocation spreads a budget over layers")
        batches = calibration_batches(calibration)
        self.input_shape: tuple[int, int, int] = tuple(batches[0].shape[1:])  # type: ignore[assignment]
        self._network = student_network(model)
        count = check_model(self._network, self.input_shape)
        self._stated: dict[str, Any] = {"architecture": architecture, "mean": mean, "std": std}
        card = card_of(model, self.input_shape, count, spec.quantisation, {}, **self._stated)
        check_architecture(self._network, card)
        layout = memory_format(self.input_shape)
        batches = [batch.contiguous(memory_format=layout) for batch in batches]
        shape = network_shape(self._network, self.input_shape)
        ranges, fixed = choices(spec.space, shape)
        with without_compiler():
            self._activations = trace_activations(self._network, self.input_shape)
        self._quantisation = spec.quantisation
        if spec.space.activation_bits:
            bits = self._chosen_bits(spec, batches, list(shape.layers), fixed)
            self._quantisation = spec.quantisation.model_copy(update={"in_bits": bits})
        self._limits = spec.limits
        self._check_peak({name: fixed.get(name, LayerSetting.plain(8)) for name in shape.layers})
        self._card = card.model_copy(update={"in_bits": self._quantisation.in_bits})
        #: Each layer's list of settings worth choosing.
        self.tables: Tables = build_tables(
            self._network,
            shape,
            batches,
            ranges,
            fixed=fixed,
            method=spec.quantisation.method,
            refine_steps=spec.quantisation.refine_steps,
            check=0,
            seed=0,
            report=lambda done, total, note: None,
            measures=spec.space.weighting == MEASURED,
            outputs=outputs,
        )
        self._allocator = make_allocator(spec, self.tables)
        self._bits = self._span()

    def within(self, budget: int) -> Plan:
        """Return the best plan whose packed file takes at most ``budget`` bytes.

        Raises:
            BudgetError: no network in range packs that small; the message says how small one can
                be.
        """
        most = min(budget, math.floor(self._limits.get(PACKED_BYTES, budget)))
        return self._plan(within_bytes(self._allocator, most, self._packed_bytes))

    def front(self, count: int) -> list[Plan]:
        """Return up to ``count`` plans, smallest first.

        They are spread evenly by ratio from the smallest network in range to where next to nothing
        is lost, or a limit is reached.

        Raises:
            UserError: ``count`` is no positive integer.
        """
        if type(count) is not int or count < 1:
            raise UserError(f"front: count is {count!r}, expected 1 or more")
        return [self._plan(allocation) for allocation in self._allocator.front(count, self._bits)]

    def _chosen_bits(
        self,
        spec: StudySpec,
        batches: Sequence[Tensor],
        names: list[str],
        fixed: Mapping[str, LayerSetting],
    ) -> tuple[InBits, ...]:
        """Return the bits of each layer's inputs, in the network's order."""
        wanted = spec.space.activation_bits
        found = ActivationPlan(
            self._activations,
            input_noise(self._network, batches, wanted),
            wanted,
            names,
            [name for name, setting in fixed.items() if setting == LayerSetting.plain(32)],
        )
        most = spec.limits.get(PEAK_BYTES, math.inf)
        return tuple(found.choose(math.floor(min(most, found.largest))).values())

    def _check_peak(self, settings: Mapping[str, LayerSetting]) -> None:
        """Check that activations keep their limit; of settings it counts only which are plain."""
        peak, most = self._peak_bytes(settings), self._limits.get(PEAK_BYTES, math.inf)
        if peak > most:
            binding = self._activations.binding(input_bits(settings, self._quantisation))
            raise BudgetError(
                f"limits.{PEAK_BYTES}: {most:,.6g} cannot be kept: activations take {peak:,} "
                f"bytes; {binding_layers(binding)}"
            )

    def _span(self) -> tuple[int, int] | None:
        """Return the bits of the smallest and the largest plan; None where files have no limit.

        Raises:
            BudgetError: no network in range packs so small.
        """
        if PACKED_BYTES not in self._limits:
            return None
        low, high = self._allocator.useful_span()
        allowed = math.floor(self._limits[PACKED_BYTES])
        return low, min(high, within_bytes(self._allocator, allowed, self._packed_bytes).bits)

    def _peak_bytes(self, settings: Mapping[str, LayerSetting]) -> int:
        return self._activations.peak_bytes(input_bits(settings, self._quantisation))

    def _plan(self, allocation: Allocation) -> Plan:
        norm_bits = allocation.norm_bits
        return Plan(
            settings=allocation.settings,
            packed_bytes=self._packed_bytes(allocation),
            damage=allocation.damage,
            layer_damage=self._allocator.layer_damage(allocation.settings),
            sizes=network_sizes(self.tables.shape, allocation.settings, norm_bits),
            peak_activation_bytes=self._peak_bytes(allocation.settings),
            input_shape=self.input_shape,
            quantisation=self._quantisation.model_copy(update={"norm_bits": norm_bits}),
            **self._stated,
        )

    def _packed_bytes(self, allocation: Allocation) -> int:
        chosen = {
            "settings": tuple(allocation.settings.values()),
            "norm_bits": allocation.norm_bits,
        }
        return packed_size(self._network, self._card.model_copy(update=chosen))


def plan(
    model: nn.Module,
    calibration: Tensor | Iterable[Any],
    budget: int,
    *,
    outputs: OutputKind = "classes",
    space: Section | None = None,
    quantisation: Section | None = None,
    limits: Mapping[str, float] | None = None,
    architecture: str | Section | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Plan:
    """Choose every layer's setting so that the packed file takes at most ``budget`` bytes.

    For several budgets of one model make a `Planner`, whose arguments these are.

    Raises:
        UserError: an argument is wrong, or the model does not take the images.
        BudgetError: no network in range is that small.
    """
    planner = Planner(
        model,
        calibration,
        outputs=outputs,
        space=space,
        quantisation=quantisation,
        limits=limits,
        architecture=architecture,
        mean=mean,
        std=std,
    )
    return planner.within(budget)


def calibration_batches(calibration: Tensor | Iterable[Any]) -> list[Tensor]:
    """Return the first images of a tensor, or of batches, in parts that run at once.

    Raises:
        UserError: there are fewer than two, or they are no images.
    """
    if not isinstance(calibration, Iterable):
        raise UserError(
            "calibration: expected a tensor of images or batches of them, got "
            f"{type(calibration).__name__}"
        )
    parts = [calibration] if isinstance(calibration, Tensor) else calibration
    found: list[Tensor] = []
    left = CALIBRATION_IMAGES
    for part in parts:
        images = part[0] if isinstance(part, tuple | list) and part else part
        if not isinstance(images, Tensor) or images.ndim != 4 or not images.is_floating_point():
            what = (
                f"{images.dtype} of shape {tuple(images.shape)}"
                if isinstance(images, Tensor)
                else type(images).__name__
            )
            raise UserError(f"calibration: expected float images (N, C, H, W), got {what}")
        if not torch.isfinite(images[:left]).all():
            raise UserError("calibration: the images hold numbers that are not finite")
        found.append(images[:left].float())
        left -= len(found[-1])
        if not left:
            break
    if left > CALIBRATION_IMAGES - 2:
        raise UserError("calibration: expected two images or more")
    if len({tuple(images.shape[1:]) for images in found}) > 1:
        raise UserError("calibration: all images must have one size")
    return [*_whole(found)]


def _whole(parts: list[Tensor]) -> Iterable[Tensor]:
    """Yield parts of at most ``_BATCH`` images, all of one size or one image less."""
    images = torch.cat(parts)
    count = -(-len(images) // _BATCH)
    yield from torch.tensor_split(images, count)
