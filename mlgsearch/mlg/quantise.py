"""Fake quantisers: what a factor becomes at few bits, with a gradient that passes straight through.

A quantiser turns the trained *latent* of a factor into the *value* that is multiplied. ``fit``
goes the other way: it takes the value wanted, sets the quantiser's own scale, and gives the latent.
``encode`` gives the integer codes behind a value, ``decode`` the very same value from the codes.

Subnormal numbers are worth zero: a tensor whose smallest level or step would be subnormal becomes
zeros. Devices that flush subnormals then agree with those that do not, and a quantised value stays
what it is when it is fitted again. No trained weight comes near: at 16 bits it concerns tensors
whose largest magnitude is below 1e-33. Only the sign quantiser keeps them: it divides by nothing.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from mlgsearch.errors import SettingError
from mlgsearch.mlg.setting import BIT_WIDTHS

#: The name of a quantiser, a key of `QUANTISERS`.
Method = str

#: Fractions of the largest magnitude at which a fit tries to clip, from none to strong.
_CLIPS = tuple(0.9**i for i in range(18))

#: A fit compares clips on at most so many entries.
_SAMPLE = 16_384

#: Steps of it, wrapped at 1, are spread evenly and meet no regular pattern.
_GOLDEN_RATIO = 0.6180339887498949

_TANH_1 = 0.7615941559557649


class Quantiser(nn.Module):
    """No quantisation at all (32 bits), and what all quantisers share.

    Every method takes and gives tensors of any one shape; zero tensors stay zero.
    """

    #: How many scales ``encode`` gives beside the codes.
    scale_count = 0

    def __init__(self, bits: int = 32) -> None:
        super().__init__()
        self.bits = bits

    def forward(self, latent: Tensor) -> Tensor:
        """Return the value that is multiplied: at most 2**bits levels."""
        return latent

    def smooth(self, latent: Tensor) -> Tensor:
        """Return the value before rounding; differentiable everywhere."""
        return latent

    @torch.no_grad()
    def fit(self, target: Tensor) -> Tensor:
        """Set the scale so that values come close to ``target``, and give the latent."""
        return target

    def encode(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the value is made of: codes and scales; at 32 bits it has none.

        Returns:
            int32 in [0, 2**bits - 1] of the latent's shape, and the scales, (scale_count,).
        """
        raise AssertionError("there are no codes at 32 bits")

    def decode(self, codes: Tensor, scales: Tensor) -> Tensor:
        """Return the value that ``forward`` gave, bit for bit, of what ``encode`` gave.

        Nothing of this quantiser's own state is used but its bits.
        """
        raise AssertionError("there are no codes at 32 bits")

    def extra_repr(self) -> str:
        """Show the bits."""
        return f"bits={self.bits}"


class SignQuantiser(Quantiser):
    """One bit: sign(w)*mean|w|, where the sign of zero is plus; the gradient is the identity.

    Source: Zhou et al. 2016 (DoReFa-Net, arXiv 1606.06160), eq. 8, with the mean kept fixed.
    """

    scale_count = 1

    def __init__(self) -> None:
        super().__init__(1)

    def forward(self, latent: Tensor) -> Tensor:
        """Return plus or minus the mean magnitude."""
        return _straight_through(self.decode(*self.encode(latent)), latent)

    @torch.no_grad()
    def encode(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Return 1 for plus and 0 for minus, and the mean magnitude."""
        return (latent >= 0).to(torch.int32), latent.abs().mean().reshape(1)

    def decode(self, codes: Tensor, scales: Tensor) -> Tensor:
        """Return plus or minus the mean magnitude."""
        return torch.where(codes > 0, scales[0], -scales[0]) + 0.0  # no negative zero


class DorefaQuantiser(Quantiser):
    """Symmetric DoReFa that keeps the scale: 2**bits levels, evenly from -max to max, none at zero.

    With t = tanh(w), s = max|t| and n = 2**bits - 1 the value is
    ``gain * s * (2*round((t/(2s) + 1/2)*n)/n - 1)``; the gradient is that of ``gain * t``. The
    ``gain``, chosen by ``fit``, is 1 unless values are wanted that tanh reaches only on its flat
    part: then the largest latent is 1.

    Source: the MLG paper's quantiser; Zhou et al. 2016 (arXiv 1606.06160), eq. 9, symmetric.
    """

    scale_count = 2
    gain: Tensor

    def __init__(self, bits: int) -> None:
        super().__init__(bits)
        self.register_buffer("gain", torch.ones(()))

    def forward(self, latent: Tensor) -> Tensor:
        """Return gain times one of 2**bits levels."""
        through = torch.tanh(latent)
        with torch.no_grad():
            largest = _even_range(through, self.bits)
            value = _values(_even_codes(through, largest, self.bits), largest, self.gain, self.bits)
        return _straight_through(value, self.gain * through)

    def smooth(self, latent: Tensor) -> Tensor:
        """Return gain*tanh(latent)."""
        return self.gain * torch.tanh(latent)

    @torch.no_grad()
    def encode(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Return the levels counted from the lowest; the scales are the gain and max|tanh|."""
        through = torch.tanh(latent)
        largest = _even_range(through, self.bits)
        codes = _even_codes(through, largest, self.bits)
        return codes.to(torch.int32), torch.stack([self.gain, largest])

    def decode(self, codes: Tensor, scales: Tensor) -> Tensor:
        """Return gain times the levels."""
        return _values(codes.to(scales.dtype), scales[1], scales[0], self.bits)

    @torch.no_grad()
    def fit(self, target: Tensor) -> Tensor:
        """Clip where the squared error is least, choose the gain, and give the latent."""
        largest = _largest(target) * _least_clip(target, self.bits)
        self.gain.copy_(torch.clamp(largest / _TANH_1, min=1.0))
        # In float32 a quotient may round to just above the bound; latents stay within [-1, 1].
        return torch.atanh((target.clamp(-largest, largest) / self.gain).clamp(-_TANH_1, _TANH_1))


class _LearnedStep(Quantiser):
    """A quantiser whose only scale is a step that is trained.

    The step is ``scale * exp(log_step)``: positive whatever the optimiser does, and weight decay
    draws it to the fitted ``scale`` (a buffer), not to zero.
    """

    scale_count = 1
    scale: Tensor

    def __init__(self, bits: int) -> None:
        super().__init__(bits)
        self.register_buffer("scale", torch.ones(()))
        self.log_step = nn.Parameter(torch.zeros(()))

    @property
    def step(self) -> Tensor:
        """The step, a scalar."""
        return self.scale * self.log_step.exp()

    def _begin_at(self, step: Tensor) -> None:
        self.scale.copy_(step)
        self.log_step.zero_()


class LsqQuantiser(_LearnedStep):
    """A learned step: integers from -2**(bits-1) to 2**(bits-1) - 1, times the step.

    The step's gradient is multiplied by 1/sqrt(numel*Q_p), Q_p = 2**(bits-1) - 1. The latent's
    gradient is 1 between the outermost levels and 0 beyond.

    Source: Esser et al. 2020 (LSQ, arXiv 1902.08153), eqs. 1 to 3 and section 2.2.
    """

    @property
    def top(self) -> int:
        """The largest integer, Q_p."""
        return int(2 ** (self.bits - 1)) - 1

    def forward(self, latent: Tensor) -> Tensor:
        """Return the step times an integer."""
        step = self.step
        strength = (latent.numel() * self.top) ** -0.5
        step = _straight_through(step, step * strength)
        ratio = torch.clamp(latent / step, -self.top - 1, self.top)
        integer = _straight_through(ratio.round(), ratio)
        return integer * step

    @torch.no_grad()
    def encode(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Return the integers counted from the lowest, and the step."""
        step = self.step
        integer = torch.clamp(latent / step, -self.top - 1, self.top).round()
        return (integer + (self.top + 1)).to(torch.int32), step.reshape(1)

    def decode(self, codes: Tensor, scales: Tensor) -> Tensor:
        """Return the step times the integers."""
        return (codes - (self.top + 1)).to(scales.dtype) * scales[0]

    @torch.no_grad()
    def fit(self, target: Tensor) -> Tensor:
        """Set the step whose squared error is least on a small grid; the latent is the target."""
        step = _largest(target) / self.top
        if self.bits < 16:
            best = _least_error(
                _sample(target, step),
                torch.tensor(_CLIPS, device=target.device),
                lambda ratio: ratio.round().clamp_(-self.top - 1, self.top),
            )
            step = step * _CLIPS[best]
        self._begin_at(torch.where(step >= _tiny(step), step, torch.ones_like(step)))
        return target


class SymmetricLsqQuantiser(_LearnedStep):
    """A learned step on DoReFa's levels: odd multiples of half a step, as many on either side.

    The value is ``step * (c + 1/2)`` with an integer c from -2**(bits-1) to 2**(bits-1) - 1; there
    is no tanh, no running maximum and no level at zero, so two bits have four levels of use where
    LSQ's -2, -1, 0, 1 are lopsided. Step, its gradient and the latent's are as in `LsqQuantiser`,
    with Q_p = 2**(bits-1). A tensor fitted to zero has a step of 0 and stays zero for good.

    Source: Esser et al. 2020 (LSQ, arXiv 1902.08153) on the levels of Zhou et al. 2016 (DoReFa,
    arXiv 1606.06160), symmetric.
    """

    @property
    def side(self) -> int:
        """How many levels there are on either side of zero, Q_p."""
        return int(2 ** (self.bits - 1))

    def forward(self, latent: Tensor) -> Tensor:
        """Return the step times an odd half."""
        return quantise_symmetric([latent], [self])[0]

    @torch.no_grad()
    def encode(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Return the levels counted from the lowest, and the step."""
        step = self.step
        return self._codes(latent, step).to(torch.int32), step.reshape(1)

    def decode(self, codes: Tensor, scales: Tensor) -> Tensor:
        """Return the step times the odd halves."""
        return codes.to(scales.dtype).sub_(self.side - 0.5) * scales[0]

    @torch.no_grad()
    def fit(self, target: Tensor) -> Tensor:
        """Set the step whose squared error is least on a small grid; the latent is the target."""
        step = _largest(target) * _least_clip(target, self.bits) / (self.side - 0.5)
        self._begin_at(nn.functional.threshold(step, 2 * _tiny(step), 0.0))
        return target

    @torch.no_grad()
    def _codes(self, latent: Tensor, step: Tensor) -> Tensor:
        """Return the nearest level's number, from 0, in the latent's dtype."""
        codes = (latent / step.clamp_min(_tiny(latent))).floor_()
        return codes.clamp_(-self.side, self.side - 1).add_(self.side)


def quantise_symmetric(
    latents: Sequence[Tensor], quantisers: Sequence[SymmetricLsqQuantiser]
) -> list[Tensor]:
    """Quantise each latent by its quantiser, all in the operations that one would take.

    Returns:
        The values, in the latents' shapes.
    """
    steps = torch.stack([q.step for q in quantisers])
    values: Tensor = _SymmetricLevels.apply(
        torch.cat([latent.reshape(-1) for latent in latents]),
        steps,
        [q.side for q in quantisers],
        [latent.numel() for latent in latents],
    )
    parts = torch.split(values, [latent.numel() for latent in latents])
    return [part.view(latent.shape) for part, latent in zip(parts, latents, strict=True)]


class _SymmetricLevels(torch.autograd.Function):
    """Odd halves of a step, for several tensors laid end to end, each with a step of its own."""

    @staticmethod
    def forward(
        ctx: Any, latents: Tensor, steps: Tensor, sides: list[int], lengths: list[int]
    ) -> Tensor:
        """Map latents (entries,) and steps (tensors,) to values (entries,)."""
        table = torch.stack([steps, steps.new_tensor(sides)])
        if len(lengths) > 1:
            repeats = torch.tensor(lengths, device=steps.device)
            table = table.repeat_interleave(repeats, dim=1, output_size=len(latents))
        step, side = table
        ratio = latents / step.clamp_min(_tiny(latents))
        level = torch.minimum(torch.maximum(ratio.floor(), -side), side - 1).add_(0.5)
        ctx.save_for_backward(ratio, level, step, side)
        ctx.lengths, ctx.sides = lengths, sides
        values: Tensor = level * step
        return values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """Return the gradients of latents and steps; see `LsqQuantiser`."""
        ratio, level, step, side = ctx.saved_tensors
        inside = ratio.abs() <= side
        through = gradient * inside
        of_step = (gradient * level).sub_(through * ratio)
        strength = [(n * s) ** -0.5 for n, s in zip(ctx.lengths, ctx.sides, strict=True)]
        sums = torch.stack([part.sum() for part in of_step.split(ctx.lengths)])
        is_alive = step >= _tiny(step)  # else all values are zero, whatever the latents
        return through * is_alive, sums * sums.new_tensor(strength), None, None


def make_quantiser(method: Method, bits: int) -> Quantiser:
    """Return the quantiser of a method at a bit width; 1 and 32 bits are the same in all.

    Raises:
        SettingError: the method or the bit width is unknown.
    """
    if method not in QUANTISERS:
        known = ", ".join(map(repr, QUANTISERS))
        raise SettingError(f"quantisation method is {method!r}, expected one of {known}")
    if bits == 0 or bits not in BIT_WIDTHS:
        raise SettingError(f"bit width is {bits!r}, expected one of {BIT_WIDTHS[1:]}")
    if bits == 32:
        return Quantiser()
    if bits == 1:
        return SignQuantiser()
    return QUANTISERS[method](bits)


#: Every quantiser by its name in a study file; each is made for 2 to 16 bits.
QUANTISERS: dict[Method, Callable[[int], Quantiser]] = {
    "dorefa": DorefaQuantiser,
    "lsq": LsqQuantiser,
    "lsq_symmetric": SymmetricLsqQuantiser,
}


def spread_sample(value: Tensor, count: int) -> Tensor:
    """Return a tensor's entries, flat: all of them, or ``count`` where there are more.

    Which they are is fixed. They are spread evenly, but not at even distances: these would meet the
    same position of every kernel.
    """
    flat = value.flatten()
    if flat.numel() <= count:
        return flat
    steps = torch.arange(count, dtype=torch.float64, device=value.device)
    return flat[(steps.mul_(_GOLDEN_RATIO).frac_() * flat.numel()).long()]


def _straight_through(value: Tensor, through: Tensor) -> Tensor:
    """Return exactly ``value``, with the gradient of ``through``."""
    return value.detach() + (through - through.detach())


def _even_range(value: Tensor, bits: int) -> Tensor:
    """Return the largest magnitude, or 0 where the smallest level would be subnormal; NaN stays."""
    return nn.functional.threshold(_largest(value), _tiny(value) * (2**bits - 1), 0.0)


def _even_codes(value: Tensor, largest: Tensor, bits: int) -> Tensor:
    """Return the nearest level's number, 0 for -largest and 2**bits - 1 for largest.

    In widths of a level the levels are the odd halves, so flooring finds the nearest.
    """
    n = 2**bits - 1
    width = (largest * (2 / n)).clamp_min_(_tiny(value))
    codes: Tensor = (value / width).floor_().add_((n + 1) // 2)
    return codes


def _values(codes: Tensor, largest: Tensor, gain: Tensor, bits: int) -> Tensor:
    """Return ``gain * (largest * (2*codes/n - 1))``, in the codes' place; docs/packed.md has it."""
    levels = codes.mul_(2).div_(2**bits - 1).sub_(1).mul_(largest)
    return levels.add_(0.0).mul_(gain)  # no negative zero


def _largest(value: Tensor) -> Tensor:
    """Return the largest magnitude."""
    largest: Tensor = torch.linalg.vector_norm(value, torch.inf)
    return largest


def _least_clip(target: Tensor, bits: int) -> float:
    """Return the fraction of a tensor's largest magnitude at which symmetric levels meet it best.

    The levels are odd multiples of half a width, the outermost at that fraction; from 16 bits on
    nothing is clipped.
    """
    if bits >= 16:
        return 1.0
    n = 2**bits - 1
    best = _least_error(
        _sample(target, _largest(target)),
        torch.tensor(_CLIPS, device=target.device) * (2 / n),
        lambda ratio: ratio.floor().add_(0.5).clamp_(-n / 2, n / 2),
    )
    return _CLIPS[best]


def _tiny(like: Tensor) -> float:
    """Return the smallest normal number of a dtype: what is smaller is worth zero, see above.

    A clamp to it keeps zeros from being divided by zero.
    """
    return torch.finfo(like.dtype).tiny


def _sample(target: Tensor, unit: Tensor) -> Tensor:
    """Return entries of a tensor in some unit, flat, float32: enough to compare clips."""
    sample = spread_sample(target, _SAMPLE)
    return (sample / unit.clamp_min(_tiny(unit))).to(torch.float32)


def _least_error(sample: Tensor, steps: Tensor, nearest: Callable[[Tensor], Tensor]) -> int:
    """Return the index of the step, of (steps,), whose levels meet a sample, (entries,), best.

    ``nearest`` gives a new tensor, the level next to each number in steps.
    """
    ratio = sample / steps[:, None]  # (steps, entries)
    errors = torch.linalg.vector_norm(nearest(ratio).sub_(ratio), dim=1)
    return int((errors * steps).argmin())
