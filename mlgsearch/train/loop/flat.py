"""Many small parameters as one tensor, so that an optimiser's step is a few large operations."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

#: Floats to which each parameter's place is rounded up: 64 bytes, a cache line.
_ALIGNMENT = 16


def flatten_parameters(parameters: Sequence[nn.Parameter]) -> nn.Parameter:
    """Move parameters and their gradients into one flat parameter, of which they become views.

    Shapes, memory layouts and values stay; loading a state_dict into the network changes the flat
    parameter and the other way about. Gradients must be zeroed in place from here on
    (``zero_grad(set_to_none=False)``), and the network must not be moved to another device, type
    or layout. All parameters must be of one type, on one device.
    """
    first = parameters[0]
    assert all((p.dtype, p.device) == (first.dtype, first.device) for p in parameters)
    offsets, total = [], 0
    for parameter in parameters:
        offsets.append(total)
        total += _padded(parameter)
    flat = nn.Parameter(torch.zeros(total, dtype=first.dtype, device=first.device))
    flat.grad = torch.zeros_like(flat)
    for parameter, offset in zip(parameters, offsets, strict=True):
        value = _view(flat.data, parameter, offset)
        value.copy_(parameter.data)
        gradient = _view(flat.grad, parameter, offset)
        parameter.data = value
        parameter.grad = gradient
    return flat


def flat_values(parameters: Sequence[nn.Parameter], values: Sequence[float]) -> Tensor:
    """Return a tensor of the flat parameter's shape that holds one value for each parameter."""
    lengths = torch.tensor([_padded(parameter) for parameter in parameters])
    return torch.tensor(values, dtype=torch.float32).repeat_interleave(lengths)


class Matrix(NamedTuple):
    """Where a parameter lies in the flat one, as a matrix."""

    offset: int
    rows: int
    columns: int

    def of(self, flat: Tensor) -> Tensor:
        """Return the view (rows, columns) of a tensor of the flat parameter's shape."""
        return flat.as_strided((self.rows, self.columns), (self.columns, 1), self.offset)


def matrices_in_flat(parameters: Sequence[nn.Parameter]) -> list[Matrix]:
    """Return where `flatten_parameters` puts parameters.

    A row is what lies together in memory: all of one output, but for a weight that is stored
    transposed, which is a transposed matrix.
    """
    found, offset = [], 0
    for parameter in parameters:
        rows = parameter.shape[max(range(parameter.ndim), key=parameter.stride)]
        found.append(Matrix(offset, rows, parameter.numel() // rows))
        offset += _padded(parameter)
    return found


def _padded(parameter: nn.Parameter) -> int:
    return -(-parameter.numel() // _ALIGNMENT) * _ALIGNMENT


def _view(flat: Tensor, like: Tensor, offset: int) -> Tensor:
    return flat.as_strided(like.shape, like.stride(), offset)
