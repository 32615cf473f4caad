"""What workers on other nodes need of the driver's disk, in Ray's object store.

A node fetches each object once, and all its workers read it where it lies, in shared memory.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlgsearch.study.cluster.ray_session import local_ray  # noqa: F401  # isort: skip  # sets Ray's environment first
import ray
import torch
from torch import Tensor

from mlgsearch.paths import cache_directory
from mlgsearch.study.cluster.machine import shared_memory_warning
from mlgsearch.train.spec import TrainSpec
from mlgsearch.train.teacher.prepared import Prepared
from mlgsearch.train.teacher.shared_arrays import SharedArrays, as_array, as_tensor

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Shipped:
    """References to a `SharedArrays`, and to the teacher's logits by seed and epoch."""

    common: "ray.ObjectRef[SharedArrays]"
    logits: Mapping[tuple[int, int], "ray.ObjectRef[object]"]

    def open(self, spec: TrainSpec, device: torch.device) -> Prepared:
        """Open on a worker what was shipped; an epoch's logits are fetched when they are needed.

        Logits that were not shipped are computed, and cached on the worker's own disk.

        Raises:
            DataError: other libraries are installed here than where the driver runs.
        """
        common: SharedArrays = ray.get(self.common)
        images, teacher = common.open(spec)
        teacher.network.to(device)
        return Prepared(spec, cache_directory(), device, images, teacher, self._fetch)

    def _fetch(self, seed: int, epoch: int) -> Tensor | None:
        reference = self.logits.get((seed, epoch))
        if reference is None:
            return None
        tensor = as_tensor(ray.get(reference))
        assert isinstance(tensor, Tensor)
        return tensor


def ship(
    spec: TrainSpec,
    cache: Path,
    seeds: Iterable[int],
    epochs: int,
    notice: Callable[[str], object],
) -> Shipped:
    """Put into the object store what `prepare` left in the cache.

    Args:
        spec: what the trials share.
        cache: the driver's.
        seeds: of the trainings, for their augmentation.
        epochs: of a training; logits that are not in the cache are left out.
        notice: called where this machine's shared memory is too small for them.

    Raises:
        DataError: the teacher is not in the cache.
    """
    prepared = Prepared.open(spec, cache, torch.device("cpu"))
    common = SharedArrays.of(prepared.images, prepared.teacher, spec.model)
    total = sum(array.nbytes for array in common.arrays)
    references = {}
    for seed in dict.fromkeys(seeds):
        logits = prepared.logits(seed)
        for epoch in dict.fromkeys(map(logits.number, range(1, epochs + 1))):
            found = logits.cached(epoch)
            if found is not None:
                total += found.nbytes
                references[seed, epoch] = ray.put(as_array(found))
    logger.info("%.1f MB in the object store", total / 1e6)
    if (warning := shared_memory_warning(total)) is not None:
        notice(warning)
    return Shipped(ray.put(common), references)
