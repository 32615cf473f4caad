"""Matrices that lie in a flat parameter, as few tensors that hold many of them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mlgsearch.train.loop.flat import Matrix

#: Entries from which a matrix shares a stack with those of its own shape only.
_LARGE = 2**12


@dataclass(frozen=True)
class Stack:
    """Matrices of about one shape, lying on their longer side and padded with zeros.

    ``places`` (matrices, rows, columns) are the entries' places in the flat parameter, ``is_entry``
    is 0 where there is padding, else 1; ``sides`` is the longer side of each.
    """

    places: Tensor
    is_entry: Tensor
    sides: Tensor

    def __len__(self) -> int:
        return len(self.sides)

    def of(self, flat: Tensor) -> Tensor:
        """Return the matrices (matrices, rows, columns) of a tensor of the flat one's shape."""
        return flat.take(self.places).mul_(self.is_entry)


class Stacks:
    """All matrices of a flat parameter: of small ones, those that round to one shape share a stack.

    On a GPU, and for networks whose matrices are small, an operation on a stack takes about as long
    as on one matrix.
    """

    def __init__(self, matrices: Iterable[Matrix], flat: Tensor) -> None:
        by_shape: dict[tuple[int, int], list[Tensor]] = defaultdict(list)
        places = torch.arange(flat.numel(), device=flat.device)
        for matrix in matrices:
            lying = matrix.of(places)
            lying = lying.T if lying.shape[0] > lying.shape[1] else lying
            by_shape[_rounded(*lying.shape)].append(lying)
        self.stacks = [_stack(shape, found) for shape, found in by_shape.items()]
        # An entry that is in no matrix is where the zero behind all stacks is.
        ends = torch.tensor([0, *(stack.places.numel() for stack in self.stacks)]).cumsum(0)
        self._origins = torch.full_like(places, int(ends[-1]))
        for stack, start in zip(self.stacks, ends.tolist(), strict=False):
            slots = stack.is_entry.flatten().nonzero().squeeze(1)
            self._origins[stack.places.flatten()[slots]] = start + slots

    def split(self, values: Tensor) -> Sequence[Tensor]:
        """Return the part of each stack, a view, of a tensor (matrices,) in their order."""
        return torch.split(values, [len(stack) for stack in self.stacks])

    def flat(self, values: Sequence[Tensor]) -> Tensor:
        """Return what `Stack.of` took, one tensor for each stack, in the flat parameter's shape."""
        zero = values[0].new_zeros(1)
        return torch.cat([*(value.flatten() for value in values), zero]).take(self._origins)


def _rounded(rows: int, columns: int) -> tuple[int, int]:
    if rows * columns >= _LARGE:
        return rows, columns
    return 1 << (rows - 1).bit_length(), 1 << (columns - 1).bit_length()


def _stack(shape: tuple[int, int], found: Sequence[Tensor]) -> Stack:
    places = found[0].new_zeros(len(found), *shape)
    is_entry = torch.zeros_like(places, dtype=torch.float32)
    for number, lying in enumerate(found):
        rows, columns = lying.shape
        places[number, :rows, :columns] = lying
        is_entry[number, :rows, :columns] = 1
    sides = torch.tensor([float(lying.shape[1]) for lying in found], device=places.device)
    return Stack(places, is_entry, sides)
