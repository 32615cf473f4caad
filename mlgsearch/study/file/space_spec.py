"""The section ``space`` of a study file: which settings are searched."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from mlgsearch.mlg.input_quantiser import InBits
from mlgsearch.study.file.hyperparameter import Hyperparameters
from mlgsearch.study.file.space_kinds import SPACE_KINDS, SpaceKind, kinds_that
from mlgsearch.train.spec import Positive, Spec, Whole, one_of


def _is_range(bounds: tuple[int, ...]) -> tuple[int, ...]:
    if len(bounds) != 2 or not 1 <= bounds[0] <= bounds[1]:
        raise ValueError(f"{list(bounds)} is not a range: write [low, high] with 1 <= low <= high")
    return bounds


def _is_bit_range(bounds: tuple[int, ...]) -> tuple[int, ...]:
    low, high = _is_range(bounds)
    if high > 8 and (low, high) not in ((16, 16), (32, 32)):
        raise ValueError(
            f"{list(bounds)}: bits go from 1 to 8, or are fixed by [16, 16] or [32, 32] (none)"
        )
    return bounds


def _is_budget(bounds: tuple[float, ...]) -> tuple[float, ...]:
    if len(bounds) != 2 or bounds[0] >= bounds[1]:
        raise ValueError(f"{list(bounds)} is not a range: write [low, high] with low < high")
    return bounds


Range = Annotated[tuple[Whole, ...], Field(strict=False), AfterValidator(_is_range)]
BitRange = Annotated[tuple[Whole, ...], Field(strict=False), AfterValidator(_is_bit_range)]
Budget = Annotated[tuple[Positive, ...], Field(strict=False), AfterValidator(_is_budget)]
SpaceKindName = Annotated[str, one_of(SPACE_KINDS)]


class SpaceSpec(Spec):
    """Which settings are searched.

    ``allocation`` searches a budget for the whole network and a gain per layer that bends how it is
    spread, ``layerwise`` five numbers per layer, ``uniform`` the paper's five global numbers. A
    layer's own limits cut the ranges of bases; at a limit the level is absent (and in an allocation
    it always may be). ``full_precision`` lists layers (shell patterns) that stay at 32 bits.
    ``head_bits`` is the width of a linear head; without it the paper's rule holds (8 where weights
    are quantised), and ``search`` lets the head join a layerwise search. An allocation searches
    the head unless its width is given. ``budget_kb`` bounds an allocation's budget, in 1,000 bytes
    by the paper's count; ``weighting`` says how layers weigh against each other in what is planned.
    An allocation decides on ``quantisation.norm_bits`` as well, unless the file gives the width.
    """

    kind: SpaceKindName = "allocation"
    B_in: Range = (1, 8)
    B_out: Range = (1, 64)
    q_basis: BitRange = (2, 8)
    q_coeff_in: BitRange = (2, 8)
    q_coeff_out: BitRange = (2, 8)
    full_precision: tuple[str, ...] = Field(default=(), strict=False)
    head_bits: Literal[1, 2, 3, 4, 5, 6, 7, 8, 16, 32, "search"] | None = None
    budget_kb: Budget | None = None
    activation_bits: tuple[InBits, ...] = Field(default=(), strict=False)
    weighting: Literal["measured", "relative", "absolute", "log_energy", "fisher"] = "measured"
    hyperparameters: Hyperparameters = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check(self) -> "SpaceSpec":
        if self.traits.has_head is None and self.head_bits == "search":
            others = kinds_that(lambda kind: kind.has_head is not None)
            raise ValueError(f"head_bits: search needs kind: {others}")
        if not self.traits.has_budget and self.budget_kb is not None:
            raise ValueError(f"budget_kb needs kind: {kinds_that(lambda kind: kind.has_budget)}")
        return self

    @property
    def traits(self) -> SpaceKind:
        """What is known of spaces of this kind."""
        return SPACE_KINDS[self.kind]
