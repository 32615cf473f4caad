"""What a network's activations take: the bytes alive at once in a forward pass of one image."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from mlgsearch.mlg.kinds import tensors_of
from mlgsearch.mlg.running.eval_mode import in_eval_mode
from mlgsearch.mlg.running.layer import quantisable_places

#: Bits of a value that anything but a layer with quantised inputs reads.
FULL = 32


@dataclass
class Value:
    """A tensor that a forward pass keeps: ``numel`` numbers, alive from ``first`` to ``last``.

    Steps count from 0, and both ends are included. ``layers`` read it; ``is_read_whole`` where
    something else does, which takes it at full precision, or it is the network's output. At step
    ``first`` it lies where ``replaced`` was, whose life ended the step before.
    """

    numel: int
    first: int
    last: int
    layers: set[str] = field(default_factory=set)
    is_read_whole: bool = False
    replaced: int | None = None

    def bits(self, in_bits: Mapping[str, int]) -> int:
        """Return the bits of a number: the most that any reader takes it at."""
        if self.is_read_whole or not self.layers:
            return FULL
        return max(in_bits.get(name, FULL) for name in self.layers)

    def size(self, in_bits: Mapping[str, int]) -> int:
        """Return its bytes."""
        return math.ceil(self.numel * self.bits(in_bits) / 8)


@dataclass(frozen=True)
class Activations:
    """The values of one forward pass of one image, in the order in which the network makes them.

    A value is alive from the step that makes it to the last one that reads it; the image from the
    first step on, the logits to the end. A step that works number by number writes over an operand
    that nothing reads afterwards: with one operand (normalisation, a nonlinearity) it is part of
    the step that made it, with several (a residual connection) its result takes the operand's
    place. Weights, and what is made of weights alone, do not count, nor does what a layer needs
    inside.

    A value takes the most bits at which any of its readers takes it: ``in_bits`` for a layer that
    quantises its inputs, 32 for all else, as the sum of a residual connection.
    """

    values: tuple[Value, ...]
    steps: int

    def peak_bytes(self, in_bits: Mapping[str, int]) -> int:
        """Return the most bytes that are alive at once.

        Args:
            in_bits: by layer, those of its inputs; 32 for layers that are not named.
        """
        return max(self.bytes_by_step(in_bits), default=0)

    def bytes_by_step(self, in_bits: Mapping[str, int]) -> list[int]:
        """Return the bytes that are alive at each step."""
        sizes = [value.size(in_bits) for value in self.values]
        found = [0] * self.steps
        for value, size in zip(self.values, sizes, strict=True):
            for step in range(value.first, value.last + 1):
                found[step] += size
            if value.replaced is not None:
                found[value.first] += max(sizes[value.replaced] - size, 0)
        return found

    def binding(self, in_bits: Mapping[str, int]) -> list[str]:
        """Return the layers that read what is alive at the peak, the largest value first."""
        steps = self.bytes_by_step(in_bits)
        peak = steps.index(max(steps))
        held = [value for value in self.values if value.first <= peak <= value.last]
        held.sort(key=lambda value: -value.size(in_bits))
        return list(dict.fromkeys(name for value in held for name in sorted(value.layers)))

    @property
    def layers(self) -> set[str]:
        """The layers whose bits of inputs change what a value takes."""
        return {name for value in self.values if not value.is_read_whole for name in value.layers}


@torch.no_grad()
def trace_activations(model: nn.Module, input_shape: tuple[int, int, int]) -> Activations:
    """Read a model's activations from one forward pass of one zero image of shape (C, H, W).

    The model is plain, not compressed; the pass runs in eval mode on its own device (``meta`` is
    the cheapest), and every module's mode is as before afterwards.
    """
    layers = quantisable_places(model)
    inside: list[str] = []
    handles = []
    for module, name in layers.items():
        handles += [
            module.register_forward_pre_hook(lambda *_, name=name: inside.append(name)),
            module.register_forward_hook(lambda *_: _left(inside)),
        ]
    sample = next(model.parameters(), torch.empty(0))
    image = torch.zeros(1, *input_shape, device=sample.device, dtype=sample.dtype)
    try:
        with in_eval_mode(model), _Recorder(image, inside) as recorder:
            output = model(image)
    finally:
        for handle in handles:
            handle.remove()
    return _alive(recorder.steps, recorder.sizes, [recorder.key(t) for t in tensors_of(output)])


def _left(inside: list[str]) -> None:
    inside.pop()


@dataclass(frozen=True)
class _Step:
    """An operation: which tensors it reads and makes, and the layer it belongs to."""

    reads: tuple[int, ...]
    made: tuple[int, ...]
    layer: str | None
    is_by_number: bool


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes every operation on what follows from the image, views apart."""

    def __init__(self, image: Tensor, inside: Sequence[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.steps: list[_Step] = []
        self.sizes: dict[int, int] = {}
        self._inside = inside
        self._kept: list[Any] = []  # so that no storage's address is used again
        self._note(image)

    def key(self, tensor: Tensor) -> int:
        """Return what all views of a tensor have in common."""
        address: int = tensor.untyped_storage()._cdata
        return address

    def _note(self, tensor: Tensor) -> int:
        storage = tensor.untyped_storage()
        self._kept.append(storage)
        key = self.key(tensor)
        self.sizes[key] = storage.nbytes() // tensor.element_size()
        return key

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = kwargs or {}
        output = func(*args, **named)
        read = dict.fromkeys(map(self.key, tensors_of(*args, *named.values())))
        reads = tuple(key for key in read if key in self.sizes)
        if not reads:
            return output
        new = [t for t in tensors_of(output) if t.is_floating_point() and t.numel()]
        made = tuple(self._note(tensor) for tensor in new if self.key(tensor) not in read)
        if made or func._schema.is_mutable:
            is_by_number = torch.Tag.pointwise in func.tags or "batch_norm" in func._schema.name
            layer = self._inside[-1] if self._inside else None
            self.steps.append(_Step(reads, made, layer, is_by_number))
        return output


def _alive(steps: Sequence[_Step], sizes: Mapping[int, int], outputs: Sequence[int]) -> Activations:
    """Turn operations into the lives of values; what nothing reads, as a mean, is left out."""
    last = {key: at for at, step in enumerate(steps) for key in step.reads}
    last.update(dict.fromkeys(outputs, len(steps)))
    steps = [replace(step, made=tuple(key for key in step.made if key in last)) for step in steps]
    image = next(iter(sizes))
    values = [Value(sizes[image], 0, last.get(image, 0))]
    of = {image: 0}
    count = 0  # of steps that are not part of the one before
    ends = dict.fromkeys([0], 0)
    for at, step in enumerate(steps):
        dying = [
            key
            for key in step.reads
            if step.is_by_number
            and len(step.made) == 1
            and last[key] == at
            and sizes[key] == sizes[step.made[0]]
        ]
        is_part = len(dying) == 1 == len(step.reads) or not step.made
        now = max(count - 1, 0) if is_part else count
        for key in step.reads:
            value = values[of[key]]
            ends[of[key]] = now
            if is_part and len(step.reads) == 1:
                continue
            if step.layer is None:
                value.is_read_whole = True
            else:
                value.layers.add(step.layer)
        if is_part:
            of.update(dict.fromkeys(step.made, of[step.reads[0]]))
            continue
        for key in step.made:
            of[key] = len(values)
            ends[of[key]] = now
            values.append(Value(sizes[key], now, now))
        if dying:
            values[-1].replaced = of[dying[0]]
            ends[of[dying[0]]] = now - 1
        count += 1
    for number, end in ends.items():
        values[number].last = end
    for key in outputs:
        if key in of:
            values[of[key]].last = count - 1
            values[of[key]].is_read_whole = True
    return Activations(tuple(values), count)
