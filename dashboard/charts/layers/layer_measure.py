"""What the colour of a layer can mean."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlgsearch.results.read.layer_grid import NUMBERS, Floats, LayerGrid
from mlgsearch.words import TIMES


@dataclass(frozen=True)
class Measure:
    """A value of each trial and layer.

    ``values`` gives them, shape (T, L); NaN is unknown. ``is_log`` colours equal factors in equal
    steps, ``is_change`` likewise to both sides of 1. ``absent_is_0`` says that 0 is no value but a
    level that is not there, ``is_whole`` that all are whole numbers. ``write`` is for a cell, a key
    and a sentence; ``sentence`` explains.
    """

    name: str
    label: str
    sentence: str
    values: Callable[[LayerGrid], Floats]
    write: Callable[[float], str]
    is_log: bool = False
    is_change: bool = False
    absent_is_0: bool = False
    is_whole: bool = False

    def absent(self, grid: LayerGrid) -> NDArray[np.bool_]:
        """Return where the level that this is a number of is absent, shape (T, L)."""
        if not self.absent_is_0:
            return np.zeros((len(grid.numbers), len(grid.layers)), dtype=bool)
        return np.equal(grid.settings[..., NUMBERS.index(self.name)], 0)

    def coloured(self, grid: LayerGrid) -> Floats:
        """Return what the scale of colours runs over, shape (T, L); NaN where there is no value."""
        shown = np.where(self.absent(grid), np.nan, self.values(grid))
        with np.errstate(divide="ignore"):  # log2(0) of no damage is below every scale
            scaled = np.log2(shown) if self.is_log or self.is_change else shown
        return np.where(np.isfinite(scaled), scaled, np.nan)

    def unscaled(self, place: float) -> float:
        """Return the value at a place of the scale of colours."""
        return 2.0**place if self.is_log or self.is_change else place


def _number(name: str) -> Callable[[LayerGrid], Floats]:
    place = NUMBERS.index(name)
    return lambda grid: grid.settings[..., place].astype(np.float64)


def _two_digits(value: float) -> str:
    return f"{value:#.2g}" if value < 9.95 else f"{value:.0f}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %" if value < 0.0995 else f"{100 * value:.0f} %"


def _times(value: float) -> str:
    return f"{TIMES}{value:.2g}" if value < 0.995 else f"{TIMES}{value:.1f}"


def _whole(value: float) -> str:
    return f"{value:.0f}"


_FACTORS = {"q_basis": "the basis", "q_coeff_in": "coeff_in", "q_coeff_out": "coeff_out"}


def _measures() -> Mapping[str, Measure]:
    all_of_them = [
        Measure(
            "bits",
            "bits per weight",
            "Bits that a layer's factors take for each of its weights; 32 is the plain network.",
            LayerGrid.bits_a_weight,
            _two_digits,
            is_log=True,
        ),
        Measure(
            "change",
            "bits against the student to the left",
            "How many times the bits of the next smaller student a layer takes.",
            LayerGrid.change,
            _times,
            is_change=True,
        ),
        Measure(
            "B_in",
            "B_in, bases inside a kernel",
            "Bases of level 1, inside a kernel; absent where the layer has no such level.",
            _number("B_in"),
            _whole,
            absent_is_0=True,
            is_whole=True,
        ),
        Measure(
            "B_out",
            "B_out, bases across kernels",
            "Bases of level 2, across kernels; absent where the layer has no such level.",
            _number("B_out"),
            _whole,
            is_log=True,
            absent_is_0=True,
            is_whole=True,
        ),
    ]
    all_of_them += [
        Measure(
            name,
            f"{name}, bits of {factor}",
            f"Bits of each number in {factor}"
            + ("." if name == "q_basis" else "; absent where the layer has no such level."),
            _number(name),
            _whole,
            absent_is_0=name != "q_basis",
            is_whole=True,
        )
        for name, factor in _FACTORS.items()
    ]
    all_of_them += [
        Measure(
            "damage",
            "predicted damage",
            "Part of what a layer does that the plan expects to be lost before training.",
            lambda grid: grid.damage,
            _percent,
        ),
        Measure(
            "share",
            "share of the student's bytes",
            "Part of the student's bytes that a layer takes.",
            LayerGrid.share,
            _percent,
            is_log=True,
        ),
    ]
    return {measure.name: measure for measure in all_of_them}


#: By name, the default first.
MEASURES = _measures()


def available(grid: LayerGrid) -> list[Measure]:
    """Return what can be drawn of a study; the first is what to begin with."""
    return [measure for measure in MEASURES.values() if np.isfinite(measure.values(grid)).any()]
