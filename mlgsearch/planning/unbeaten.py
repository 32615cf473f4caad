"""What is worth keeping of things that have a size and a damage."""

import numpy as np
from numpy.typing import NDArray


def unbeaten(sizes: NDArray[np.int64], damages: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the indices that nothing beats in both, by ascending size; of equals the first."""
    order = np.lexsort((damages, sizes))
    least_before = np.minimum.accumulate(np.concatenate([[np.inf], damages[order]]))[:-1]
    found: NDArray[np.int64] = order[damages[order] < least_before]
    return found
