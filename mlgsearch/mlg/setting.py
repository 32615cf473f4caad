"""The five numbers of one layer, their canonical form, and what they cost; standard library only.

Shapes and names follow the paper (Gu et al., ICCV 2021, arXiv 2108.11430), whose five numbers are
(B_i, B_o, q_b, q_u, q_v).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import prod
from typing import Any, Literal, Self, get_args

from mlgsearch.errors import SettingError
from mlgsearch.records import FiveNumbers

#: What a layer is; the last four have a matrix, of words by features or of outputs by inputs.
LayerKind = Literal["conv", "conv_transpose", "linear", "embedding", "attention", "recurrent"]

_KINDS = get_args(LayerKind)
_CONVOLUTIONS = ("conv", "conv_transpose")

#: How a layer may be computed; see ``LayerSetting.form_macs``.
ExecutionForm = Literal["dense", "level2", "three_stage"]

#: Bit widths a factor may have; 0 means a factor that is absent, 32 for no quantisation.
BIT_WIDTHS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 32)


@dataclass(frozen=True, slots=True)
class LayerShape:
    """What a layer's sizes depend on.

    ``c_in`` is counted per group, ``kernel`` is (height, width), or another number of sides of a
    convolution in one or three dimensions, and (1, 1) for what is no convolution.
    ``out_positions`` is H_out*W_out for one sample (1 for a linear layer on vectors, 0 for a layer
    that the forward pass does not reach); ``in_positions`` likewise for the input, and where it is
    left out the layer is taken to keep its size.

    Raises:
        SettingError: a number is not an integer of the right range, or the kind is unknown.
    """

    kind: LayerKind
    c_out: int
    c_in: int
    kernel: tuple[int, ...] = (1, 1)
    groups: int = 1
    out_positions: int = 1
    in_positions: int = -1

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            expected = ", ".join(map(repr, _KINDS))
            raise SettingError(f"layer shape: kind is {self.kind!r}, expected one of {expected}")
        object.__setattr__(self, "kernel", tuple(self.kernel))
        if len(self.kernel) not in (1, 2, 3):
            raise SettingError(f"layer shape: kernel is {self.kernel}, expected (height, width)")
        if self.in_positions == -1:
            object.__setattr__(self, "in_positions", self.out_positions)
        for name, value, least in (
            ("c_out", self.c_out, 1),
            ("c_in", self.c_in, 1),
            *((f"kernel side {at}", side, 1) for at, side in enumerate(self.kernel)),
            ("groups", self.groups, 1),
            ("out_positions", self.out_positions, 0),
            ("in_positions", self.in_positions, 0),
        ):
            if type(value) is not int or value < least:
                raise SettingError(f"layer shape: {name} is {value!r}, expected an int >= {least}")

    @property
    def kernel_area(self) -> int:
        """The number of positions in one kernel, k*k in the paper."""
        return prod(self.kernel)

    @property
    def is_convolution(self) -> bool:
        """Whether the layer has a kernel."""
        return self.kind in _CONVOLUTIONS

    @property
    def is_transposed(self) -> bool:
        """Whether torch has the weight with its input channels first."""
        return self.kind == "conv_transpose"

    @property
    def canonical_shape(self) -> tuple[int, ...]:
        """The shape of the weight with its output channels first."""
        return (self.c_out, self.c_in, *(self.kernel if self.is_convolution else ()))

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """The shape of the layer's weight as torch has it."""
        if self.is_transposed:
            return (self.groups * self.c_in, self.c_out // self.groups, *self.kernel)
        return self.canonical_shape

    @property
    def weight_numel(self) -> int:
        """The number of weights."""
        return self.c_out * self.c_in * self.kernel_area

    @property
    def is_depthwise(self) -> bool:
        """Whether every input channel is convolved alone, so that no level can be exploited."""
        return self.groups > 1 and self.c_in == 1

    @property
    def level1_bound(self) -> int:
        """Level 1 exists only for 0 < base_in < this; 0 (never) for a depthwise layer."""
        return 0 if self.is_depthwise else min(self.c_in, self.kernel_area)

    @property
    def level2_bound(self) -> int:
        """Level 2 exists only for 0 < base_out < this; 0 (never) for a depthwise layer."""
        return 0 if self.is_depthwise else min(self.c_out, self.c_in * self.kernel_area)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able form; ``from_dict`` reads it back."""
        return {**asdict(self), "kernel": list(self.kernel)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Read what ``to_dict`` wrote.

        Raises:
            SettingError: a field is unknown, missing or malformed.
        """
        known = [f.name for f in fields(cls)]
        if set(content) != set(known):
            raise SettingError(f"layer shape: expected the fields {known}, got {sorted(content)}")
        return cls(**content)


@dataclass(frozen=True, order=True, slots=True)
class LayerSetting:
    """One layer's five numbers.

    ``basis`` has ``q_basis`` bits, ``coeff_in`` ``q_coeff_in`` and ``coeff_out`` ``q_coeff_out``.
    A base of 0 asks for no such level. Many settings describe the same student: compare, hash and
    store ``canonical(shape)`` only.

    Raises:
        SettingError: a number is not an integer, a base is negative, a bit width is not one of
            ``BIT_WIDTHS``, or ``q_basis`` is 0 (every layer has a basis).
    """

    base_in: int
    base_out: int
    q_basis: int
    q_coeff_in: int
    q_coeff_out: int

    def __post_init__(self) -> None:
        for name in ("base_in", "base_out"):
            value = getattr(self, name)
            if type(value) is not int or value < 0:
                raise SettingError(f"{self.five}: {name} is {value!r}, expected an int >= 0")
        for name in ("q_basis", "q_coeff_in", "q_coeff_out"):
            value = getattr(self, name)
            if type(value) is not int or value not in BIT_WIDTHS:
                raise SettingError(
                    f"{self.five}: {name} is {value!r}, expected one of {BIT_WIDTHS} bits"
                )
        if self.q_basis == 0:
            raise SettingError(f"{self.five}: q_basis is 0, but every layer has a basis")

    @classmethod
    def from_five(cls, five: FiveNumbers) -> Self:
        """Read five numbers in the paper's order.

        Raises:
            SettingError: there are not five, or one is malformed.
        """
        if len(five) != 5:
            raise SettingError(f"a layer setting has five numbers, got {len(five)}: {tuple(five)}")
        return cls(*five)

    @classmethod
    def plain(cls, bits: int) -> Self:
        """The weight itself, quantised at ``bits``; 32 leaves it as it is."""
        return cls(0, 0, bits, 0, 0)

    @property
    def five(self) -> FiveNumbers:
        """(base_in, base_out, q_basis, q_coeff_in, q_coeff_out), the paper's order."""
        return (self.base_in, self.base_out, self.q_basis, self.q_coeff_in, self.q_coeff_out)

    @property
    def is_plain(self) -> bool:
        """Whether no level is asked for."""
        return self.base_in == 0 and self.base_out == 0

    def canonical(self, shape: LayerShape) -> "LayerSetting":
        """Return the one form that all settings of the same student share.

        An absent level's base and bits are 0. Where the factors would take at least as many bits
        as the plain weight quantised at ``q_basis``, the layer is that plain weight.

        Raises:
            SettingError: a level exists but its coefficients have 0 bits.
        """
        has_level1 = 0 < self.base_in < shape.level1_bound
        has_level2 = 0 < self.base_out < shape.level2_bound
        if has_level1 and self.q_coeff_in == 0:
            raise SettingError(f"{self.five}: level 1 exists, but q_coeff_in is 0")
        if has_level2 and self.q_coeff_out == 0:
            raise SettingError(f"{self.five}: level 2 exists, but q_coeff_out is 0")
        kept = LayerSetting(
            self.base_in if has_level1 else 0,
            self.base_out if has_level2 else 0,
            self.q_basis,
            self.q_coeff_in if has_level1 else 0,
            self.q_coeff_out if has_level2 else 0,
        )
        if kept.is_plain or kept._bits(shape) < shape.weight_numel * self.q_basis:
            return kept
        return LayerSetting.plain(self.q_basis)

    @property
    def factor_bits(self) -> dict[str, int]:
        """The bits of every factor, in order, of those that a layer lacks too."""
        return {
            "basis": self.q_basis,
            "coeff_in": self.q_coeff_in,
            "coeff_out": self.q_coeff_out,
        }

    def factor_shapes(self, shape: LayerShape) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the factors that exist, of a canonical setting.

        ==============  =======================  =====================  =================
        levels          basis                    coeff_in               coeff_out
        ==============  =======================  =====================  =================
        none            (C_out, C_in, ...)
        level 1         (C_out, B_in, k*k)       (C_out, C_in, B_in)
        level 2         (B_out, C_in*k*k)                               (C_out, B_out)
        both            (B_out, B_in, k*k)       (B_out, C_in, B_in)    (C_out, B_out)
        ==============  =======================  =====================  =================

        Raises:
            SettingError: the setting is not canonical for this shape.
        """
        self._require_canonical(shape)
        return self._factor_shapes(shape)

    def parameters(self, shape: LayerShape) -> int:
        """Count the numbers stored for the weight, of a canonical setting.

        Raises:
            SettingError: the setting is not canonical for this shape.
        """
        return sum(prod(s) for s in self.factor_shapes(shape).values())

    def bits(self, shape: LayerShape) -> int:
        """Count the bits stored for the weight, of a canonical setting; scales are not counted.

        Raises:
            SettingError: the setting is not canonical for this shape.
        """
        self._require_canonical(shape)
        return self._bits(shape)

    def generation_macs(self, shape: LayerShape) -> int:
        """Count multiply-accumulates to rebuild the weight once, of a canonical setting.

        Level 1 takes ``rows*C_in*B_in*k*k`` (rows are B_out, or C_out without level 2), level 2
        ``C_out*B_out*C_in*k*k``; a plain weight takes none.

        Raises:
            SettingError: the setting is not canonical for this shape.
        """
        self._require_canonical(shape)
        rows = self.base_out or shape.c_out
        level1 = rows * shape.c_in * self.base_in * shape.kernel_area
        level2 = shape.c_out * self.base_out * shape.c_in * shape.kernel_area
        return level1 + level2

    def form_macs(self, shape: LayerShape) -> dict[ExecutionForm, int]:
        """Count multiply-accumulates of one sample in each execution form, of a canonical setting.

        Weights that a form needs are at hand: rebuilding them is ``generation_macs``. With P
        output and P_in input positions and rows = B_out (C_out without level 2):

        - ``dense``: the whole weight. ``P*C_out*C_in*k*k``
        - ``level2``: k x k to B_out with W_c, then 1x1. ``P*(B_out*C_in*k*k + C_out*B_out)``
        - ``three_stage``: nothing is rebuilt. 1x1 to rows*B_in, depthwise k x k and a sum over
          B_in, then with level 2 1x1 to C_out.
          ``P_in*C_in*rows*B_in + P*rows*B_in*(k*k + 1) + P*rows*(C_out or 0)``

        Groups share no input, so a grouped layer has the dense form only, as has all that is
        neither a convolution nor linear. A transposed convolution multiplies at its inputs'
        positions, an embedding nothing.

        Raises:
            SettingError: the setting is not canonical for this shape.
        """
        self._require_canonical(shape)
        out = shape.out_positions
        at = shape.in_positions if shape.is_transposed else out
        forms: dict[ExecutionForm, int] = {"dense": at * shape.weight_numel}
        if shape.kind == "embedding":
            return {"dense": 0}
        if shape.groups > 1 or shape.kind not in ("conv", "linear"):
            return forms
        if self.base_out:
            forms["level2"] = out * self.base_out * (shape.c_in * shape.kernel_area + shape.c_out)
        if self.base_in:
            rows = self.base_out or shape.c_out
            first = rows * self.base_in * shape.in_positions * shape.c_in
            middle = rows * self.base_in * out * (shape.kernel_area + 1)
            last = rows * out * shape.c_out if self.base_out else 0
            forms["three_stage"] = first + middle + last
        return forms

    def execution_macs(self, shape: LayerShape) -> int:
        """Count multiply-accumulates of one sample in the cheapest form of ``form_macs``.

        Raises:
            SettingError: the setting is not canonical for this shape.
        """
        return min(self.form_macs(shape).values())

    def _factor_shapes(self, shape: LayerShape) -> dict[str, tuple[int, ...]]:
        rows = self.base_out or shape.c_out
        shapes: dict[str, tuple[int, ...]] = {}
        if self.base_in:
            shapes["basis"] = (rows, self.base_in, shape.kernel_area)
            shapes["coeff_in"] = (rows, shape.c_in, self.base_in)
        elif self.base_out:
            shapes["basis"] = (rows, shape.c_in * shape.kernel_area)
        else:
            shapes["basis"] = shape.canonical_shape
        if self.base_out:
            shapes["coeff_out"] = (shape.c_out, self.base_out)
        return shapes

    def _bits(self, shape: LayerShape) -> int:
        widths = self.factor_bits
        return sum(prod(s) * widths[name] for name, s in self._factor_shapes(shape).items())

    def _require_canonical(self, shape: LayerShape) -> None:
        canonical = self.canonical(shape)
        if canonical != self:
            raise SettingError(
                f"{self.five} is not canonical for a layer of weight {shape.weight_shape} with "
                f"{shape.groups} groups: write {canonical.five}, or call canonical() first"
            )
