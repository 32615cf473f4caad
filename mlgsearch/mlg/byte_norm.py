"""Batch-norm's scales and shifts at 8 bits: codes of a byte per channel, and a range per tensor."""

from typing import Literal

import torch
from torch import Tensor

from mlgsearch.mlg.half_norm import to_half

#: Bits at which a file holds a batch-norm's scales and shifts.
StoredNormBits = Literal[8, 16, 32]

#: Of the codes.
CODE_BITS = 8
_TOP = 2**CODE_BITS - 1


@torch.no_grad()
def norm_codes(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return codes (C,), int32 in [0, 255], of values (C,), and (lowest, step) as float16.

    A value is off by at most half a step, and an eighth more at the ends, for lowest and step are
    rounded first; what is beyond 65504 becomes that.
    """
    kept = to_half(values).float()
    low = to_half(kept.min())
    step = to_half((kept.max() - low.float()) / _TOP)
    codes = torch.zeros_like(values) if step == 0 else ((values - low.float()) / step.float())
    return codes.round().clamp(0, _TOP).to(torch.int32), torch.stack([low, step])


def norm_values(codes: Tensor, bounds: Tensor) -> Tensor:
    """Return the values (C,), float32, of codes (C,) and (lowest, step)."""
    low, step = bounds.float()
    values: Tensor = low + codes.float() * step
    return values
