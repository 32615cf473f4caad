"""All canonical settings of a layer in range, as arrays, with their exact bits."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlgsearch.mlg.setting import LayerSetting, LayerShape

Span = tuple[int, int]

#: Settings as rows of five numbers in the paper's order, (n, 5); 0 where a level is absent.
Settings = NDArray[np.int64]


@dataclass(frozen=True)
class Ranges:
    """Lowest and highest value of each of a layer's five numbers.

    A level is always present where ``levels_stay`` is true and its highest number of bases is
    below the layer's bound; else it may be absent as well.
    """

    base_in: Span
    base_out: Span
    q_basis: Span
    q_coeff_in: Span
    q_coeff_out: Span
    levels_stay: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able form."""
        return asdict(self)

    def widths(self) -> list[int]:
        """Return every bit width that a factor may have."""
        spans = (self.q_basis, self.q_coeff_in, self.q_coeff_out)
        return sorted({q for low, high in spans for q in range(low, high + 1)})

    def bases(self, span: Span, bound: int) -> list[int]:
        """Return the numbers of bases that a level may have; 0 where it may be absent."""
        present = list(range(span[0], min(span[1], bound - 1) + 1))
        is_optional = not self.levels_stay or span[1] >= bound or not present
        return [0, *present] if is_optional else present


def grid(shape: LayerShape, ranges: Ranges) -> Iterator[Settings]:
    """Yield every canonical setting of a layer once, a block for each number of B_in.

    Blocks may be empty. Where levels stay, the plain weight is there only if factors in range cost
    as much, and so are that weight.
    """
    plain_widths: set[int] = set()
    for base_in in ranges.bases(ranges.base_in, shape.level1_bound):
        base_outs = ranges.bases(ranges.base_out, shape.level2_bound)
        q_coeff_in = _span(ranges.q_coeff_in) if base_in else [0]
        q_basis, q_coeff_out = _span(ranges.q_basis), _span(ranges.q_coeff_out)
        absent, present = [b for b in base_outs if not b], [b for b in base_outs if b]
        settings = np.concatenate(
            [
                _product([base_in], absent, q_basis, q_coeff_in, [0]),
                _product([base_in], present, q_basis, q_coeff_in, q_coeff_out),
            ]
        )
        is_plain = (settings[:, 0] == 0) & (settings[:, 1] == 0)
        # Factors that cost as much as the plain weight are canonically that weight.
        is_smaller = bits_of(settings, shape) < shape.weight_numel * settings[:, 2]
        plain_widths |= set(settings[is_plain | ~is_smaller, 2].tolist())
        yield settings[~is_plain & is_smaller]
    yield _product([0], [0], sorted(plain_widths), [0], [0])


def bits_of(settings: Settings, shape: LayerShape) -> NDArray[np.int64]:
    """Count the bits stored for the weight at canonical settings; see ``LayerSetting.bits``."""
    base_in, base_out, q_basis, q_coeff_in, q_coeff_out = settings.T
    rows = np.where(base_out > 0, base_out, shape.c_out)
    width = np.where(base_in > 0, base_in * shape.kernel_area, shape.c_in * shape.kernel_area)
    bits: NDArray[np.int64] = (
        rows * width * q_basis
        + rows * shape.c_in * base_in * q_coeff_in
        + shape.c_out * base_out * q_coeff_out
    )
    return bits


def setting_of(row: NDArray[np.int64]) -> LayerSetting:
    """Return one row as a setting."""
    return LayerSetting(*(int(number) for number in row))


def _span(span: Span) -> list[int]:
    return list(range(span[0], span[1] + 1))


def _product(*values: Sequence[int]) -> Settings:
    return np.stack(np.meshgrid(*values, indexing="ij"), -1).reshape(-1, 5).astype(np.int64)
