"""A bound on what layers use together, by a linear program."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import block_diag


@dataclass(frozen=True)
class Relaxed:
    """The least of a resource where each layer may be a mixture of its options."""

    least: float
    by_layer: Mapping[str, float]


def least_within(
    uses: Mapping[str, NDArray[np.float64]], most: NDArray[np.float64], which: int
) -> Relaxed | None:
    """Return how little of one resource is used where the others' limits are kept.

    No choice of one option per layer uses less.

    Args:
        uses: by layer what each option uses of each resource, (options, resources).
        most: the limits, (resources,); that of ``which`` plays no part.
        which: the resource that is to be small.

    Returns:
        None where the others' limits cannot be kept.
    """
    columns = np.concatenate(list(uses.values()))  # (all options, resources)
    # Resources differ by ten orders of magnitude, which the program's tolerances would not survive.
    scale = np.maximum(np.abs(columns).max(0), 1e-300)
    columns = columns / scale
    others = [resource for resource in range(len(most)) if resource != which]
    one_of_each = block_diag([np.ones((1, len(options))) for options in uses.values()], "csr")
    found = linprog(
        columns[:, which],
        A_ub=columns[:, others].T if others else None,
        b_ub=(most / scale)[others] if others else None,
        A_eq=one_of_each,
        b_eq=np.ones(len(uses)),
        method="highs",
    )
    if found.status == 2:
        return None
    if not found.success:
        raise RuntimeError(f"the linear program of the limits ended with: {found.message}")
    ends = np.cumsum([len(options) for options in uses.values()])[:-1]
    used = np.split(columns[:, which] * found.x * scale[which], ends)
    by_layer = {layer: float(part.sum()) for layer, part in zip(uses, used, strict=True)}
    return Relaxed(float(found.fun * scale[which]), by_layer)
