"""From a trained weight to factors: truncated eigen-decompositions, then least squares.

``decompose`` knows no bits. ``project`` adds them: it fits every factor's quantiser, then solves
the factors in turn against the quantised others.

Where the scale goes: a basis has orthonormal rows and every coefficient orthogonal columns, which
is what the penalty asks for (see ``penalty``). With level 1 ``coeff_out`` is orthonormal too and
``coeff_in`` takes the scale; with level 2 alone ``coeff_out`` takes it. So the basis, which has the
fewest bits in the paper's settings, has rows alike in size, as a quantiser with one scale per
tensor wants them.

Truncations nest, so without quantisation the error never grows with a base.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from mlgsearch.errors import DataError
from mlgsearch.mlg.factoring.factors import Factors
from mlgsearch.mlg.quantise import Quantiser
from mlgsearch.mlg.setting import LayerSetting, LayerShape

#: The order in which refinement solves the factors.
_ORDER: tuple[str, ...] = ("coeff_out", "coeff_in", "basis")

#: The largest system of equations that is solved jointly over all rows of W_c.
_JOINT_LIMIT = 1024


@dataclass(frozen=True, eq=False)
class Projection:
    """What a projection gives: each factor's latent, and how far off the generated weight is.

    ``relative_error`` is ||W - W_hat||_F / ||W||_F after quantisation, 0 for a zero weight.
    """

    latents: Mapping[str, Tensor]
    relative_error: float


def decompose(weight: Tensor, setting: LayerSetting, shape: LayerShape) -> dict[str, Tensor]:
    """Truncate a weight to the bases of a canonical setting, in float64.

    Level 2 keeps the leading eigenvectors of the smaller Gram matrix of the (C_out, C_in*k*k)
    weight; level 1 those of every (C_in, k*k) slice of W_c.

    Returns:
        The factors that exist, in the shapes of ``LayerSetting.factor_shapes``.
    """
    matrix = weight.detach().to(torch.float64).flatten(1)  # (C_out, C_in*k*k)
    if setting.is_plain:
        return {"basis": matrix.reshape(shape.canonical_shape)}
    found: dict[str, Tensor] = {}
    kernels = matrix  # W_c, (rows, C_in*k*k)
    if setting.base_out:
        found["coeff_out"], kernels = truncate(matrix, setting.base_out)
    if setting.base_in:
        slices = kernels.reshape(-1, shape.c_in, shape.kernel_area)  # (rows, C_in, k*k)
        directions, scaled = truncate(slices.mT, setting.base_in)
        found["basis"] = directions.mT  # (rows, B_in, k*k), orthonormal rows
        found["coeff_in"] = scaled.mT  # (rows, C_in, B_in)
    else:
        found["basis"], norms = unit_rows(kernels)
        found["coeff_out"] = found["coeff_out"] * norms.mT
    return found


@torch.no_grad()
def project(
    weight: Tensor,
    setting: LayerSetting,
    shape: LayerShape,
    quantisers: Mapping[str, Quantiser],
    refine_steps: int = 3,
    *,
    truncated: Mapping[str, Tensor] | None = None,
) -> Projection:
    """Find factors whose quantised product is close to a weight; sets the quantisers' scales.

    Where anything is quantised, each of ``refine_steps`` solves ``coeff_out``, ``coeff_in`` and
    ``basis`` in turn, by least squares against the quantised others, and keeps the quantised
    result only if the error drops. The latents have the weight's dtype and device. Who has what
    ``decompose`` gives already hands it over as ``truncated``.

    Raises:
        DataError: the weight holds a value that is not finite.
    """
    if not torch.isfinite(weight).all():
        raise DataError("the weight holds values that are not finite")
    targets = decompose(weight, setting, shape) if truncated is None else dict(truncated)
    if not setting.is_plain and any(q.bits < 32 for q in quantisers.values()):
        targets = _Refinement(weight, quantisers, shape).run(targets, refine_steps)
    latents = {name: quantisers[name].fit(t).to(weight.dtype) for name, t in targets.items()}
    values = {name: quantisers[name](latent) for name, latent in latents.items()}
    generated = Factors(setting, **values).weight(shape.canonical_shape)
    exact = weight.to(torch.float64)
    error = float(torch.linalg.vector_norm(exact - generated))
    norm = float(torch.linalg.vector_norm(exact))
    return Projection(latents, error / norm if error else 0.0)


def truncate(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Return orthonormal columns Q (..., m, rank) and Q.mT @ matrix, the best of that rank.

    Works on the smaller of the two Gram matrices; the QR step keeps the columns orthonormal where
    the matrix has a lower rank than is asked for.
    """
    if matrix.shape[-2] <= matrix.shape[-1]:
        columns = _leading(matrix @ matrix.mT, rank)
    else:
        columns = torch.linalg.qr(matrix @ _leading(matrix.mT @ matrix, rank)).Q
    return columns, columns.mT @ matrix


def _leading(gram: Tensor, rank: int) -> Tensor:
    """Return the eigenvectors of the largest eigenvalues as columns, largest first."""
    vectors: Tensor = torch.linalg.eigh(gram).eigenvectors  # (..., n, n), smallest first
    return vectors.flip(-1)[..., :rank]


def unit_rows(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return rows of norm 1 and the norms (..., rows, 1); a row that is as good as zero is kept."""
    norms = torch.linalg.vector_norm(matrix, dim=-1, keepdim=True)
    norms = torch.where(norms > 1e-12 * norms.amax(), norms, torch.ones_like(norms))
    return matrix / norms, norms


class _Refinement:
    """Least squares for one factor at a time, the quantised others held.

    Products with the whole weight are the large ones, so the last of them is kept.
    """

    def __init__(self, weight: Tensor, quantisers: Mapping[str, Quantiser], shape: LayerShape):
        self._matrix = weight.to(torch.float64).flatten(1)  # (C_out, C_in*k*k)
        self._square = self._matrix.square().sum()
        self._quantisers = quantisers
        self._slices = (shape.c_in, shape.kernel_area)
        self._mixed: tuple[Tensor, Tensor] | None = None

    def run(self, targets: dict[str, Tensor], steps: int) -> dict[str, Tensor]:
        """Return targets whose quantised product is at least as close to the weight."""
        values = self._quantised(targets)
        least = self._squared_error(values)
        for _ in range(steps):
            for name in _ORDER:
                if name not in values or least == 0:
                    continue
                solved = self._solve(name, values)
                changed: dict[str, Tensor] = {name: solved}
                if name == "basis":
                    partner = "coeff_in" if "coeff_in" in values else "coeff_out"
                    changed["basis"], norms = unit_rows(solved)
                    changed[partner] = values[partner] * norms.mT
                tried = {**values, **self._quantised(changed)}
                error = self._squared_error(tried)
                if error < least:
                    least, values, targets = error, tried, {**targets, **changed}
        return targets

    def _quantised(self, wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {
            name: self._quantisers[name](self._quantisers[name].fit(target))
            for name, target in wanted.items()
        }

    def _squared_error(self, values: Mapping[str, Tensor]) -> float:
        kernels = _kernels(values)
        if "coeff_out" not in values:
            return float((self._matrix - kernels).square().sum())
        out = values["coeff_out"]
        # ||W - V K||^2 without the large product V K
        cross = (self._mixed_by(out) * kernels).sum()
        return float(self._square - 2 * cross + (out.mT @ out * (kernels @ kernels.mT)).sum())

    def _mixed_by(self, out: Tensor) -> Tensor:
        """Return out.mT @ W, (B_out, C_in*k*k)."""
        if self._mixed is None or self._mixed[0] is not out:
            self._mixed = out, out.mT @ self._matrix
        return self._mixed[1]

    def _solve(self, name: str, values: Mapping[str, Tensor]) -> Tensor:
        """Solve one factor by least squares, the others held.

        For every input channel the rows of ``coeff_in`` meet the same design matrix, and for every
        kernel position those of ``basis``: one system of rows*B_in unknowns serves all of them.
        """
        if name == "coeff_out":
            kernels = _kernels(values)
            return _least_squares(kernels @ kernels.mT, kernels @ self._matrix.mT).mT
        wanted = self._matrix  # what the rows of W_c should be, (rows, C_in*k*k)
        mixing = None  # how level 2 mixes the rows, (B_out, B_out)
        if "coeff_out" in values:
            out = values["coeff_out"]
            wanted, mixing = self._mixed_by(out), out.mT @ out
            rows_in = values["basis"].shape[0] * values["basis"].shape[1]
            if "coeff_in" not in values or rows_in > _JOINT_LIMIT:
                wanted, mixing = _least_squares(mixing, wanted), None
        if "coeff_in" not in values:
            return wanted
        wanted = wanted.reshape(-1, *self._slices)  # (rows, C_in, k*k)
        if name == "coeff_in":
            fixed = values["basis"]  # (rows, B_in, k*k)
            right = fixed @ wanted.mT  # (rows, B_in, C_in)
        else:
            fixed = values["coeff_in"].mT  # (rows, B_in, C_in)
            right = fixed @ wanted  # (rows, B_in, k*k)
        if mixing is None:
            solved = _least_squares(fixed @ fixed.mT, right)
        else:
            base_in = fixed.shape[1]
            flat = fixed.flatten(0, 1)  # (rows*B_in, ...)
            mixes = mixing.repeat_interleave(base_in, 0).repeat_interleave(base_in, 1)
            solved = _least_squares(flat @ flat.mT * mixes, right.flatten(0, 1))
            solved = solved.reshape(right.shape)
        return solved.mT if name == "coeff_in" else solved


def _kernels(values: Mapping[str, Tensor]) -> Tensor:
    """Return W_c, (rows, C_in*k*k)."""
    if "coeff_in" in values:
        return (values["coeff_in"] @ values["basis"]).flatten(1)
    return values["basis"]


def _least_squares(gram: Tensor, right: Tensor) -> Tensor:
    """Solve gram @ x = right, (..., n, n) and (..., n, m); a trace of a ridge keeps it solvable."""
    scale = gram.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
    ridge = 1e-10 * scale + torch.finfo(gram.dtype).tiny
    eye = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    solution: Tensor = torch.linalg.solve(gram + ridge * eye, right)
    return solution
