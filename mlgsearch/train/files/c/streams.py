"""Where the numbers and codes of a student lie in the tables of its C program."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import nn

from mlgsearch.mlg.packing.bits import packed_length
from mlgsearch.mlg.packing.packed import settings_of
from mlgsearch.mlg.packing.packed_slot import packed_slots
from mlgsearch.train.files.packed_card import PackedCard


class Streams:
    """The packed file's tensors, and ``constants``, which lie behind its ``numbers``.

    ``at`` says in which stream each stored thing lies and where, by module and item.
    """

    def __init__(self, network: nn.Module, card: PackedCard) -> None:
        self.settings = settings_of(network)
        self.constants: list[float] = []
        self._placed: dict[tuple[float, ...], int] = {}
        self.at: dict[tuple[str, str], tuple[str, int]] = {}
        self._begin: dict[str, tuple[int, int]] = {}
        at = Counter[str]()
        slots = packed_slots(network, self.settings, card.method, card.norm_bits, card.in_bits)
        for slot in slots:
            self.at[slot.module, slot.item] = slot.stream, at[slot.stream]
            self._begin.setdefault(slot.module, (at["codes"], at["numbers"]))
            is_codes = slot.stream == "codes"
            at[slot.stream] += packed_length(slot.numel, slot.bits) if is_codes else slot.numel
        self._numbers = at["numbers"]

    def has(self, module: str, item: str) -> bool:
        """Whether something is stored."""
        return (module, item) in self.at

    def begin(self, layer: str) -> tuple[int, int]:
        """Return where a compressed layer begins, in ``CODES`` and in ``NUMBERS``."""
        return self._begin[layer]

    def norm(self, module: str) -> tuple[int, str]:
        """Return where a batch-norm lies, and its ``Layer.end``."""
        stream, at = self.at[module, "scale"]
        return at, "SCALE_HALF" if stream == "halves" else "SCALE"

    def constant(self, values: Sequence[float]) -> int:
        """Return where numbers lie that the streams do not hold; the same ones lie once."""
        if not values:
            return 0
        place = self._placed.setdefault(tuple(values), len(self.constants))
        if place == len(self.constants):
            self.constants.extend(values)
        return self._numbers + place

    def stored(self, name: str, value: "np.ndarray[Any, Any]") -> int:
        """Return where a constant of the graph lies, in the streams or behind them."""
        module, _, item = name.rpartition(".")
        stream, at = self.at.get((module, item), ("", 0))
        if stream == "numbers":
            return at
        return self.constant([float(number) for number in value.astype(np.float32).ravel()])
