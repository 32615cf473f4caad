"""What a layer loses by few bases, for all numbers of bases at once.

Truncations nest (see ``mlgsearch.mlg.factoring.projection``): level 2 keeps the leading rows of
``W_c = U^T W``, U being all eigenvectors of ``W W^T``; level 1 keeps the leading directions of each
of these rows. What is cut off is orthogonal in W's own space on the side where the metric does not
act, so its energies add up, and cumulative sums give the error of every (B_in, B_out).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from mlgsearch.mlg.factoring.projection import truncate, unit_rows
from mlgsearch.mlg.setting import LayerSetting, LayerShape
from mlgsearch.planning.layer.metric import InputMetric


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of W_c (or of W itself, without level 2) and how they split into directions.

    ``columns`` are orthonormal columns that mix the rows into W, (C_out, rows), absent without
    level 2; ``kernels`` is (rows, C_in, k*k). The directions of row j are those of its kernel
    positions, the strongest first: ``directions`` (rows, k*k, k*k) has them as columns.
    ``energy`` and ``square`` are the energy in the input metric and the plain sum of squares of
    each row along each direction, (rows, k*k).
    """

    columns: Tensor | None
    kernels: Tensor
    directions: Tensor
    energy: Tensor
    square: Tensor

    @classmethod
    def of_basis(cls, weight: Tensor, metric: InputMetric, shape: LayerShape) -> "Rows":
        """Split a weight into the rows of W_c, the strongest first; all of them."""
        matrix = _matrix(weight)  # (C_out, C_in*k*k)
        columns, kernels = truncate(matrix, min(matrix.shape))
        return cls._split(columns, kernels, metric, shape)

    @classmethod
    def of_weight(cls, weight: Tensor, metric: InputMetric, shape: LayerShape) -> "Rows":
        """Take a weight's own rows."""
        return cls._split(None, _matrix(weight), metric, shape)

    @classmethod
    def _split(
        cls, columns: Tensor | None, rows: Tensor, metric: InputMetric, shape: LayerShape
    ) -> "Rows":
        kernels = rows.reshape(-1, shape.c_in, shape.kernel_area)  # (rows, C_in, k*k)
        directions = torch.linalg.eigh(kernels.mT @ kernels).eigenvectors.flip(-1)
        along = kernels @ directions  # (rows, C_in, k*k)
        return cls(
            columns,
            kernels,
            directions,
            energy=(metric.root() @ along).square().sum(1),
            square=along.square().sum(1),
        )

    def coeff_in(self) -> Tensor:
        """Return all coefficients inside a kernel, (rows, C_in, k*k); a base keeps the first."""
        return self.kernels @ self.directions

    def truncated(self, setting: LayerSetting) -> dict[str, Tensor]:
        """Return the factors that ``projection.decompose`` returns; the setting has a level."""
        rows, base_in = setting.base_out or len(self.kernels), setting.base_in
        kernels = self.kernels[:rows]  # (rows, C_in, k*k)
        columns = None if self.columns is None else self.columns[:, :rows]
        if base_in:
            directions = self.directions[:rows, :, :base_in]  # (rows, k*k, B_in)
            found = {"basis": directions.mT, "coeff_in": kernels @ directions}
            return found if columns is None else {**found, "coeff_out": columns}
        assert columns is not None
        basis, norms = unit_rows(kernels.flatten(1))
        return {"basis": basis, "coeff_out": columns * norms.mT}

    def kept(self, values: Tensor) -> Tensor:
        """Sum ``energy`` or ``square`` over leading rows and directions.

        Returns:
            (rows, k*k): at [r - 1, i - 1] the sum over the first r rows and i directions.
        """
        return values.cumsum(0).cumsum(1)


def _matrix(weight: Tensor) -> Tensor:
    return weight.detach().to("cpu", torch.float64).flatten(1)
