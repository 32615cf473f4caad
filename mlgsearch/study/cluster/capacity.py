"""What one training takes of a cluster, and how many fit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlgsearch.errors import StudyFileError
from mlgsearch.study.file.spec import ResourcesSpec


@dataclass(frozen=True)
class Capacity:
    """What one training takes (processors and GPUs, may be fractions), and how many run at once.

    ``count`` is that of the moment it was made, ``most`` what their user allows.
    """

    cpu: float
    gpu: float
    count: int
    most: int | None = None

    @property
    def threads(self) -> int:
        """How many threads torch gets in each."""
        return max(1, int(self.cpu))

    def fits_on(self, nodes: Sequence[Mapping[str, float]]) -> int:
        """Count those that fit on nodes, whatever their user allows."""
        return sum(_fitting(node, self.cpu, self.gpu) for node in nodes)

    def count_on(self, nodes: Sequence[Mapping[str, float]]) -> int:
        """Count those that may run at once where nodes joined and left; one at least may wait."""
        fits = self.fits_on(nodes)
        return max(1, fits if self.most is None else min(fits, self.most))


def capacity_on(
    nodes: Sequence[Mapping[str, float]], resources: ResourcesSpec, max_parallel: int | None = None
) -> Capacity:
    """Count the trainings that may run at once.

    Args:
        nodes: what Ray says each has, such as ``{"CPU": 8.0, "GPU": 1.0}``; a training is on one.
        resources: what the study file asks for; without ``gpu`` a training takes one where the
            cluster has any.
        max_parallel: a limit beside the study file's.

    Raises:
        StudyFileError: not even one fits.
    """
    gpu = resources.gpu
    if gpu is None:
        gpu = 1.0 if any(node.get("GPU", 0.0) >= 1 for node in nodes) else 0.0
    fits = sum(_fitting(node, resources.cpu, gpu) for node in nodes)
    if fits < 1:
        asked = {"CPU": resources.cpu, "GPU": gpu}
        have = [{kind: node.get(kind, 0.0) for kind in asked} for node in nodes]
        raise StudyFileError(
            f"resources: a trial asks for {asked}, but no node has that: they have "
            f"{', '.join(map(str, have))}; ask for less"
        )
    limits = [limit for limit in (max_parallel, resources.max_parallel) if limit is not None]
    return Capacity(resources.cpu, gpu, min([fits, *limits]), min(limits, default=None))


def _fitting(node: Mapping[str, float], cpu: float, gpu: float) -> int:
    """Count the trainings that fit on a node; a part of a GPU is of one, and never of two."""
    by_cpu = _times(cpu, node.get("CPU", 0.0))
    if gpu == 0:
        return by_cpu
    has = node.get("GPU", 0.0)
    by_gpu = _times(gpu, has) if gpu >= 1 else int(has) * _times(gpu, 1.0)
    return min(by_cpu, by_gpu)


def _times(share: float, whole: float) -> int:
    return int(whole / share + 1e-9)
