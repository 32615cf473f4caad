"""What some trials give each layer of their network: numbers, bits, predicted damage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine, select

from mlgsearch.records import FIVE_NAMES, LayerRecord
from mlgsearch.results.database.lookup import find_study
from mlgsearch.results.database.tables import trial_table

#: What the five columns of ``LayerGrid.settings`` are.
NUMBERS = FIVE_NAMES

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LayerGrid:
    """Trials by layers; layers in the network's order, trials in the order they were asked for.

    ``settings`` are canonical, shape (T, L, 5); 0 means that a level is absent, as for its
    bits. ``bits`` (T, L) is what a layer's factors take, by the paper's rule, and ``damage`` (T, L)
    the part of what the layer does that is predicted to be lost, in [0, 1], smaller is better;
    ``errors`` (T, L) is its relative error before training: NaN where it is not known. ``records``
    says more of the layers; it is empty where the study was
    last driven by a version that did not keep them.
    """

    layers: tuple[str, ...]
    numbers: tuple[int, ...]
    settings: Integers
    bits: Floats
    damage: Floats
    errors: Floats
    records: tuple[LayerRecord, ...] = ()

    def __post_init__(self) -> None:
        size = len(self.numbers), len(self.layers)
        assert self.settings.shape == (*size, 5), self.settings.shape
        assert self.bits.shape == size, self.bits.shape
        assert self.damage.shape == self.errors.shape == size, self.damage.shape
        assert len(self.records) in (0, len(self.layers)), "all layers are known, or none"

    def bits_a_weight(self) -> Floats:
        """Return the bits stored for one weight, shape (T, L); 32 is the plain network's."""
        if not self.records:
            return np.full(self.bits.shape, np.nan)
        weights = np.array([record.weights for record in self.records], dtype=np.float64)
        return np.asarray(self.bits / weights)

    def share(self) -> Floats:
        """Return each layer's share of its trial's bits, shape (T, L)."""
        return np.asarray(self.bits / self.bits.sum(1, keepdims=True))

    def change(self) -> Floats:
        """Return how many times the layer's bits are those in the trial before, shape (T, L).

        The first trial has none before it, and NaN.
        """
        before = np.vstack([np.full((1, len(self.layers)), np.nan), self.bits[:-1]])
        return np.asarray(self.bits / before[: len(self.numbers)])

    def at(self, trials: Sequence[int]) -> "LayerGrid":
        """Return the same of some trials, by index."""
        rows = list(trials)
        return LayerGrid(
            layers=self.layers,
            numbers=tuple(self.numbers[row] for row in rows),
            settings=self.settings[rows],
            bits=self.bits[rows],
            damage=self.damage[rows],
            errors=self.errors[rows],
            records=self.records,
        )


def read_layer_grid(
    engine: Engine, study: str, numbers: Sequence[int], records: Sequence[LayerRecord]
) -> LayerGrid:
    """Read the layers of some trials, at most some thousands.

    Args:
        engine: of the database.
        study: its name.
        numbers: of trials that have settings; what the study does not have is left out.
        records: the study's layers; without them they are those of the first trial's settings.

    Raises:
        StudyNotFoundError: there is no such study.
    """
    with engine.connect() as connection:
        rows = connection.execute(
            select(
                trial_table.c.number,
                trial_table.c.settings,
                trial_table.c.layer_bits,
                trial_table.c.layer_damage,
                trial_table.c.projection_error,
            )
            .where(trial_table.c.study_id == find_study(connection, study))
            .where(trial_table.c.number.in_(list(numbers)))
        )
        found = {row.number: row for row in rows}
    there = [found[number] for number in numbers if number in found]
    first: Mapping[str, Any] = there[0].settings if there else {}
    layers = tuple(record.name for record in records) or tuple(first)
    absent = (0, 0, 0, 0, 0)
    return LayerGrid(
        layers=layers,
        numbers=tuple(row.number for row in there),
        settings=np.array(
            [[row.settings.get(layer, absent) for layer in layers] for row in there],
            dtype=np.int64,
        ).reshape(len(there), len(layers), 5),
        bits=_values([row.layer_bits for row in there], layers),
        damage=_values([row.layer_damage for row in there], layers),
        errors=_values([row.projection_error for row in there], layers),
        records=tuple(records),
    )


def _values(rows: Sequence[Mapping[str, float | None] | None], layers: Sequence[str]) -> Floats:
    # None becomes NaN.
    return np.array(
        [[(row or {}).get(layer) for layer in layers] for row in rows], dtype=np.float64
    ).reshape(len(rows), len(layers))
