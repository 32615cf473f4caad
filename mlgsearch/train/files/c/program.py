"""A student as operations that ``mlg.c`` runs: layers, shapes, and one entry per operation."""

import math
from dataclasses import dataclass, field

from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.train.files.c.memory import Buffer

#: What an operand of the same shape has in place of a shape's number.
SAME = -1


@dataclass(frozen=True)
class Value:
    """A part of a buffer, or numbers; ``shape`` is that of one image, without the batch."""

    shape: tuple[int, ...]
    buffer: Buffer | None
    at: int = 0

    @property
    def numel(self) -> int:
        """How many numbers."""
        return math.prod(self.shape)


@dataclass
class Layer:
    """A window that goes over an image, with the weights of a layer or without (pooling)."""

    channels_in: int
    channels_out: int
    sides: tuple[int, int]
    sides_out: tuple[int, int]
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    pad: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    setting: LayerSetting = field(default_factory=lambda: LayerSetting.plain(32))
    form: str = "BY_ROWS"
    end: str = "NOTHING"
    codes: int = 0
    numbers: int = 0
    ends: int = 0

    @property
    def _row(self) -> int:
        return self.channels_in // self.groups * math.prod(self.kernel)

    def scratch(self, form: str) -> int:
        """Return how many floats it needs beside its input and output, in a form."""
        area = math.prod(self.kernel)
        hidden = math.prod(self.sides_out) if self.setting.base_out else 0
        if form == "WHOLE":
            return (self.channels_out + 1) * self._row + area
        if form == "DEPTHWISE":
            return area + hidden + math.prod(self.sides)
        return self._row + area + hidden

    def operations(self, form: str) -> int:
        """Return the multiplications of one image, those that rebuild the weights included."""
        setting, row, area = self.setting, self._row, math.prod(self.kernel)
        positions, depth = math.prod(self.sides_out), self.channels_in // self.groups
        rows = setting.base_out or self.channels_out
        spread = rows * self.channels_out * positions if setting.base_out else 0
        rebuild = rows * row * (setting.base_in or 1)
        if form == "WHOLE":
            made = rebuild + self.channels_out * rows * row
            return made + self.channels_out * row * positions
        if form == "DEPTHWISE":
            mixed = depth * (math.prod(self.sides) + 1) + area * (positions + 1)
            return rows * setting.base_in * mixed + spread
        return rebuild + rows * row * positions + spread

    def forms(self) -> list[str]:
        """Return the forms that compute it."""
        if self.setting.base_out and self.groups > 1:
            return ["WHOLE"]
        forms = ["BY_ROWS"]
        if self.setting.base_in:
            forms.append("DEPTHWISE")
        if self.setting.base_out:
            forms.append("WHOLE")
        return forms


@dataclass(frozen=True)
class Op:
    """One operation; ``at`` is what ``mlg.c`` says of its kind, ``note`` a comment."""

    kind: str
    x: Value
    y: Value
    of: str = "0"
    at: int = 0
    b: Value | None = None
    numbers: int = 0
    note: str = ""


@dataclass
class Program:
    """All that the header says but the streams and the card.

    ``constants`` are numbers of the graph itself, which lie behind the packed file's ``numbers``.
    ``scratch`` and ``arena`` are floats: what the largest layer needs beside its input and output,
    and what all activations need.
    """

    layers: list[Layer] = field(default_factory=list)
    shapes: list[tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)
    ops: list[Op] = field(default_factory=list)
    constants: list[float] = field(default_factory=list)
    scratch: int = 1
    arena: int = 0
    image: Value = field(default_factory=lambda: Value((), None))
    logits: Value = field(default_factory=lambda: Value((), None))
