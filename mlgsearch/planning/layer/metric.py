"""The metric of a layer's inputs: how much an error of its weight moves its output."""

import torch
from torch import Tensor

from mlgsearch.mlg.setting import LayerShape


class InputMetric:
    """Energies of a weight, or of its error, in the second moment of the layer's inputs.

    The energy of E is ``sum over o, p of E[o, :, p]^T M E[o, :, p]``, the mean square of what E
    adds to the output at one position, summed over output channels. A depthwise layer has a moment
    for each channel; any other grouped layer takes the mean over its groups.
    """

    def __init__(self, channels: Tensor, shape: LayerShape):
        """Take ``channels``, E[x x^T] of shape (groups, C_in, C_in)."""
        if not shape.is_depthwise:
            channels = channels.mean(0, keepdim=True)
        self._moment = channels.to(torch.float64)  # (G, C_in, C_in)
        self._shape = shape

    def energy(self, error: Tensor) -> float:
        """Return the energy of a tensor of the weight's shape, in the precision of its type."""
        groups, c_in, _ = self._moment.shape
        rows = error.detach().reshape(groups, -1, c_in, self._shape.kernel_area)
        columns = rows.movedim(2, 1).flatten(2)  # (G, C_in, C_out/G*k*k)
        return float((self._moment.to(error.dtype) @ columns * columns).sum())

    def root(self) -> Tensor:
        """Return the symmetric root R of the moment, (C_in, C_in): energy(E) = ||R E||^2.

        Only for layers with a level, which are never depthwise.
        """
        assert not self._shape.is_depthwise
        values, vectors = torch.linalg.eigh(self._moment[0])
        root: Tensor = vectors * values.clamp_min(0).sqrt() @ vectors.mT
        return root

    def mean_variance(self) -> float:
        """Return the mean second moment of a channel.

        For white noise of variance 1 that is the expected energy(noise) / (C_out*C_in*k*k).
        """
        return float(self._moment.diagonal(dim1=-2, dim2=-1).mean())
